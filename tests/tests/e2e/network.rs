//! The default network: addresses, names, published ports.

use sampan_tests::{Client, Sandbox, http, within};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::time::Duration;

/// A page and who asked for it: busybox's httpd runs this for each request.
const CGI: &str = "mkdir -p /www/cgi-bin; printf '#!/bin/sh\\necho; echo from $REMOTE_ADDR\\n' > /www/cgi-bin/who; \
                   chmod +x /www/cgi-bin/who; echo page > /www/index.html; exec httpd -f -h /www -p 80";

fn web_server(sandbox: &Sandbox, name: &str, options: &[&str]) {
    let words = [&["run", "-d", "--name", name], options, &["busybox", "sh", "-c", CGI]].concat();
    sandbox.words(&words).code(0);
}

/// A port of the host that nobody uses now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn fetch(url: &str) -> String {
    within(10, url, || http::get(url).ok())
}

#[test]
fn the_host_reaches_a_container_by_its_address() {
    let sandbox = Sandbox::new();
    web_server(&sandbox, "web", &[]);
    assert_eq!(fetch(&format!("http://{}/", sandbox.address("web"))), "page\n");
}

#[test]
fn an_address_stays_over_stop_start_and_restart() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("first", "");
    sandbox.sleeper("second", "");
    let before = sandbox.address("second");
    sandbox.sampan("stop -t 0 first second").code(0);
    sandbox.sampan("start second").code(0);
    assert_eq!(sandbox.address("second"), before);
    sandbox.sampan("restart -t 0 second").code(0);
    assert_eq!(sandbox.address("second"), before);
    let shown = sandbox.sampan("exec second ip -4 -o addr show dev eth0").ok();
    assert!(shown.contains(&format!("inet {before}/")), "{shown}");
}

#[test]
fn an_address_can_be_chosen_on_the_default_network() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("probe", "");
    let mut octets = sandbox.address("probe").parse::<Ipv4Addr>().unwrap().octets();
    octets[3] = 77;
    let chosen = Ipv4Addr::from(octets).to_string();
    sandbox.sleeper("box", &format!("--ip {chosen}"));
    assert_eq!(sandbox.address("box"), chosen);
    sandbox
        .sampan(&format!("run -d --name twin --ip {chosen} busybox true"))
        .code(125)
        .error(&chosen, "box", "");
    sandbox.sampan("run --rm --ip 192.0.2.1 busybox true").code(125).error("192.0.2.1", "", "");
}

#[test]
fn containers_reach_each_other_by_name() {
    let sandbox = Sandbox::new();
    web_server(&sandbox, "web", &[]);
    let page = within(10, "the page by name", || {
        let said = sandbox.sampan("run --rm busybox timeout 3 wget -q -O - http://web/");
        (said.code == 0).then_some(said.out)
    });
    assert_eq!(page, "page\n");
    let found = sandbox.sampan("run --rm busybox nslookup web").ok();
    assert!(found.contains(&sandbox.address("web")), "{found}");
    assert_ne!(sandbox.sampan("run --rm busybox nslookup nobody-here").code, 0);
}

#[test]
fn a_published_port_keeps_the_clients_address() {
    let sandbox = Sandbox::new();
    let client = Client::new();
    let port = free_port();
    web_server(&sandbox, "web", &["-p", &format!("{port}:80")]);
    let page = client.fetch(&format!("http://{}:{port}/cgi-bin/who", client.host));
    // The server listens for both families at once, and so writes IPv4 addresses in IPv6's form.
    let shown: Ipv6Addr = page.trim().trim_start_matches("from ").trim_matches(['[', ']']).parse().unwrap();
    assert_eq!(shown.to_ipv4_mapped(), Some(client.address.parse().unwrap()));
}

#[test]
fn a_published_port_answers_on_loopback() {
    let sandbox = Sandbox::new();
    let port = free_port();
    web_server(&sandbox, "web", &["-p", &format!("{port}:80")]);
    assert_eq!(fetch(&format!("http://127.0.0.1:{port}/")), "page\n");
}

#[test]
fn a_port_published_on_one_address_is_closed_on_others() {
    let sandbox = Sandbox::new();
    let client = Client::new();
    let port = free_port();
    web_server(&sandbox, "web", &["-p", &format!("127.0.0.1:{port}:80")]);
    assert_eq!(fetch(&format!("http://127.0.0.1:{port}/")), "page\n");
    let url = format!("http://{}:{port}/", client.host);
    client.try_fetch(&url).unwrap_err();
}

#[test]
fn a_published_port_is_closed_when_the_container_ends() {
    let sandbox = Sandbox::new();
    let client = Client::new();
    let port = free_port();
    web_server(&sandbox, "web", &["-p", &format!("{port}:80")]);
    let url = format!("http://{}:{port}/", client.host);
    assert_eq!(client.fetch(&url), "page\n");
    sandbox.sampan("stop -t 0 web").code(0);
    client.try_fetch(&url).unwrap_err();
    sandbox.sampan("start web").code(0);
    assert_eq!(client.fetch(&url), "page\n");
}

#[test]
fn udp_ports_are_published_too() {
    let sandbox = Sandbox::debian();
    let client = Client::new();
    let port = free_port();
    // Busybox has no server for UDP; perl is in every Debian.
    let server = "socket S, PF_INET, SOCK_DGRAM, 0; bind S, sockaddr_in(9, INADDR_ANY); \
                  while ($from = recv S, $text, 99, 0) { send S, $text, 0, $from }";
    let mapping = format!("{port}:9/udp");
    sandbox.words(&["run", "-d", "-p", &mapping, "debian", "perl", "-MSocket", "-e", server]).code(0);
    let socket = client.inside(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    within(10, "an answer over UDP", || {
        socket.send_to(b"hello", (client.host.as_str(), port)).ok()?;
        let mut buffer = [0; 16];
        let (count, from) = socket.recv_from(&mut buffer).ok()?;
        assert_eq!(from.to_string(), format!("{}:{port}", client.host));
        (&buffer[..count] == b"hello").then_some(())
    });
}

#[test]
fn containers_have_ipv6_addresses_of_their_own() {
    let sandbox = Sandbox::new();
    web_server(&sandbox, "web", &[]);
    let details = sandbox.inspect("web");
    let address: Ipv6Addr =
        details["NetworkSettings"]["GlobalIPv6Address"].as_str().unwrap().parse().unwrap();
    assert_eq!(fetch(&format!("http://[{address}]/")), "page\n");
    let inside = sandbox.sampan("exec web ip -6 -o addr show dev eth0").ok();
    assert!(inside.contains(&address.to_string()), "{inside}");
}

#[test]
fn a_published_port_keeps_the_clients_ipv6_address() {
    let sandbox = Sandbox::new();
    let client = Client::new();
    let port = free_port();
    web_server(&sandbox, "web", &["-p", &format!("{port}:80")]);
    let page = client.fetch(&format!("http://[{}]:{port}/cgi-bin/who", client.host6));
    let shown: Ipv6Addr = page.trim().trim_start_matches("from ").trim_matches(['[', ']']).parse().unwrap();
    assert_eq!(shown, client.address6.parse::<Ipv6Addr>().unwrap());
}

#[test]
fn containers_reach_out_behind_the_hosts_address() {
    let sandbox = Sandbox::new();
    let client = Client::new();
    // A server in the client's namespace: outside, seen from the containers.
    let listener = client.inside(|| TcpListener::bind("0.0.0.0:80").unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, from) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").unwrap();
        from.ip().to_string()
    });
    let url = format!("http://{}/", client.address);
    let page = sandbox.words(&["run", "--rm", "busybox", "timeout", "9", "wget", "-q", "-O", "-", &url]).ok();
    assert_eq!(page, "hello");
    let seen = server.join().unwrap();
    assert_eq!(seen, client.host, "masqueraded behind the host's address");
}

#[test]
fn without_network_there_is_loopback_only() {
    let sandbox = Sandbox::new();
    let links = sandbox.sh("ls /sys/class/net").ok();
    assert_eq!(links, "lo");
    sandbox
        .sh("ping -c 1 127.0.0.1 >/dev/null || nc -z 127.0.0.1 1 || ip addr show lo | grep -q 127.0.0.1")
        .code(0);
}

#[test]
fn with_the_hosts_network_the_interfaces_are_the_hosts() {
    let sandbox = Sandbox::new();
    let inside = sandbox.sampan("run --rm --network host busybox ls /proc/sys/net/ipv4/conf").ok();
    let mut inside: Vec<&str> = inside.split_whitespace().collect();
    inside.sort_unstable();
    assert!(inside.contains(&"lo"), "{inside:?}");
    let namespace = sandbox.sampan("run --rm --network host busybox readlink /proc/self/ns/net").ok();
    assert_eq!(namespace, std::fs::read_link("/proc/self/ns/net").unwrap().to_string_lossy());
}

#[test]
fn hosts_and_resolv_conf_are_written_for_the_container() {
    let sandbox = Sandbox::new();
    let hosts = sandbox.sampan("run --rm --name box --hostname here busybox cat /etc/hosts").ok();
    assert!(hosts.lines().any(|line| line.starts_with("127.0.0.1") && line.contains("localhost")), "{hosts}");
    assert!(hosts.lines().any(|line| line.contains("here")), "{hosts}");
    let resolv = sandbox.sampan("run --rm busybox cat /etc/resolv.conf").ok();
    assert!(resolv.contains("nameserver"), "{resolv}");
}

#[test]
fn two_engines_do_not_touch_each_others_networks() {
    let (one, two) = (Sandbox::new(), Sandbox::new());
    web_server(&one, "box", &[]);
    two.sleeper("box", "");
    assert_ne!(one.address("box"), two.address("box"));
    two.sampan("rm -f box").code(0);
    let address = one.address("box");
    assert_eq!(fetch(&format!("http://{address}/")), "page\n");
}
