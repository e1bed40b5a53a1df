//! Networks proved by what goes through them: host, outside and containers are network namespaces of their own.

// clippy takes helper functions of tests for no part of a test.
#![allow(clippy::unwrap_used)]

mod support;

use sampan_net::{Host, Network, loopback_up};
use sampan_types::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use support::{
    HOST, HOST6, Namespace, OUTSIDE, OUTSIDE6, World, tcp_seen_from, tcp_server, udp_seen_from, udp_server,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(address: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(address.into(), port)
}

#[test]
fn containers_reach_each_other() {
    let world = World::new();
    let ((one, _), (two, second)) = (world.container(2, &[]), world.container(3, &[]));
    let server = tcp_server(&two, "[::]:80");
    assert_eq!(tcp_seen_from(&one, at(second.ipv4, 80)).unwrap(), ip("10.77.3.2"));
    server.join().unwrap();
    let server = tcp_server(&two, "[::]:80");
    assert_eq!(tcp_seen_from(&one, at(second.ipv6.unwrap(), 80)).unwrap(), ip("fd77:1:2:3::2"));
    server.join().unwrap();
    let server = udp_server(&two, "0.0.0.0:53");
    assert_eq!(udp_seen_from(&one, at(second.ipv4, 53)).unwrap(), ip("10.77.3.2"));
    server.join().unwrap();
}

#[test]
fn the_inside_is_complete() {
    let world = World::new();
    let (container, endpoint) = world.container(2, &[]);
    let links = container.sh("ip -o link; ip -o addr; ip route; ip -6 route");
    for wanted in [
        "link/ether 02:5a:0a:4d:03:02",
        "inet 10.77.3.2/24 brd 10.77.3.255 scope global eth0",
        "inet6 fd77:1:2:3::2/64 scope global nodad",
        "default via 10.77.3.1 dev eth0 proto static",
        "default via fd77:1:2:3::1 dev eth0 proto static",
        "inet 127.0.0.1/8 scope host lo",
    ] {
        assert!(links.contains(wanted), "{wanted} is not in\n{links}");
    }
    let server = tcp_server(&container, "127.0.0.1:80");
    assert_eq!(tcp_seen_from(&container, at(Ipv4Addr::LOCALHOST, 80)).unwrap(), ip("127.0.0.1"));
    server.join().unwrap();
    assert!(world.host.sh("ip -o link").contains(&format!("{}@", endpoint.link())));
}

#[test]
fn a_network_with_nothing_but_loopback() {
    let container = Namespace::new();
    loopback_up(container.fd()).unwrap();
    let server = tcp_server(&container, "[::1]:80");
    assert_eq!(tcp_seen_from(&container, "[::1]:80".parse().unwrap()).unwrap(), ip("::1"));
    server.join().unwrap();
}

#[test]
fn containers_reach_the_outside_with_the_hosts_address() {
    let world = World::new();
    let (container, _) = world.container(2, &[]);
    let server = tcp_server(&world.outside, "[::]:80");
    assert_eq!(tcp_seen_from(&container, at(OUTSIDE, 80)).unwrap(), IpAddr::V4(HOST));
    server.join().unwrap();
    let server = tcp_server(&world.outside, "[::]:80");
    assert_eq!(tcp_seen_from(&container, at(ip(OUTSIDE6), 80)).unwrap(), ip(HOST6));
    server.join().unwrap();
}

#[test]
fn a_published_port_shows_the_clients_own_address() {
    let world = World::new();
    let (container, _) = world.container(2, &["8080:80", "5353:53/udp"]);
    let server = tcp_server(&container, "[::]:80");
    assert_eq!(tcp_seen_from(&world.outside, at(HOST, 8080)).unwrap(), IpAddr::V4(OUTSIDE));
    server.join().unwrap();
    let server = tcp_server(&container, "[::]:80");
    assert_eq!(tcp_seen_from(&world.outside, at(ip(HOST6), 8080)).unwrap(), ip(OUTSIDE6));
    server.join().unwrap();
    let server = udp_server(&container, "[::]:53");
    assert_eq!(udp_seen_from(&world.outside, at(HOST, 5353)).unwrap(), IpAddr::V4(OUTSIDE));
    server.join().unwrap();
    let server = udp_server(&container, "[::]:53");
    assert_eq!(udp_seen_from(&world.outside, at(ip(HOST6), 5353)).unwrap(), ip(OUTSIDE6));
    server.join().unwrap();
}

#[test]
fn the_host_reaches_published_ports_on_loopback_and_its_own_address() {
    let world = World::new();
    let (container, _) = world.container(2, &["8080:80", "5353:53/udp"]);
    for (address, seen) in
        [("127.0.0.1", "10.77.3.1"), ("127.9.9.9", "10.77.3.1"), ("198.51.100.1", "198.51.100.1")]
    {
        let server = tcp_server(&container, "[::]:80");
        assert_eq!(tcp_seen_from(&world.host, at(ip(address), 8080)).unwrap(), ip(seen), "{address}");
        server.join().unwrap();
        let server = udp_server(&container, "[::]:53");
        assert_eq!(udp_seen_from(&world.host, at(ip(address), 5353)).unwrap(), ip(seen), "{address}");
        server.join().unwrap();
    }
    let server = tcp_server(&container, "[::]:80");
    assert_eq!(tcp_seen_from(&world.host, at(ip(HOST6), 8080)).unwrap(), ip(HOST6));
    server.join().unwrap();
    // ::1 cannot be led elsewhere, and must say so at once.
    let refused = tcp_seen_from(&world.host, "[::1]:8080".parse().unwrap()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn containers_reach_published_ports_by_the_hosts_address() {
    // Frames between ports of a bridge go through the firewall where the module br_netfilter is loaded and its
    // sysctls are on: another way, the same reach.
    for bridged in ["0", "1"] {
        let world = World::new();
        world.host.sh(&format!(
            "cd /proc/sys/net/bridge 2>/dev/null || exit 0
             echo {bridged} > bridge-nf-call-iptables; echo {bridged} > bridge-nf-call-ip6tables"
        ));
        let ((one, first), (two, second)) = (world.container(2, &["8080:80"]), world.container(3, &[]));
        for (client, endpoint) in [(&one, &first), (&two, &second)] {
            for address in [IpAddr::V4(HOST), ip("10.77.3.1"), ip(HOST6)] {
                let server = tcp_server(&one, "[::]:80");
                let seen = tcp_seen_from(client, at(address, 8080));
                let seen = seen.unwrap_or_else(|error| panic!("{} to {address}: {error}", endpoint.name));
                let own = [IpAddr::V4(endpoint.ipv4), endpoint.ipv6.unwrap().into()].contains(&seen);
                let gateway = [ip("10.77.3.1"), ip("fd77:1:2:3::1")].contains(&seen);
                // Never its own address, with which the answer would not come back through the firewall.
                assert!(gateway || (own && endpoint.name == "c3"), "{} to {address}: {seen}", endpoint.name);
                server.join().unwrap();
            }
        }
    }
}

#[test]
fn a_port_published_on_one_address_is_reached_only_there() {
    let world = World::new();
    let (container, _) =
        world.container(2, &["127.0.0.1:8080:80", "198.51.100.1:9090:80", "[2001:db8:1::1]:7070:80"]);
    let reached = [
        (&world.host, at(Ipv4Addr::LOCALHOST, 8080)),
        (&world.outside, at(HOST, 9090)),
        (&world.outside, at(ip(HOST6), 7070)),
    ];
    for (client, address) in reached {
        let server = tcp_server(&container, "[::]:80");
        assert!(tcp_seen_from(client, address).is_ok(), "{address}");
        server.join().unwrap();
    }
    let not_reached = [
        (&world.outside, at(HOST, 8080)),
        (&world.host, at(Ipv4Addr::LOCALHOST, 9090)),
        (&world.outside, at(HOST, 7070)),
    ];
    for (client, address) in not_reached {
        let error = tcp_seen_from(client, address).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{address}");
    }
}

#[test]
fn what_is_not_published_is_closed() {
    let world = World::new();
    let (container, endpoint) = world.container(2, &["8080:80", "127.0.0.1:7070:70"]);
    let _listening =
        container.run(|| ["[::]:80", "[::]:81", "[::]:70"].map(|a| TcpListener::bind(a).unwrap()));
    // Straight to the container's address, as a machine on the same wire can.
    world.outside.sh(&format!("ip route add 10.77.3.0/24 via {HOST}; ip route add 127.0.0.2 via {HOST}"));
    for port in [80, 81] {
        assert!(tcp_seen_from(&world.outside, at(endpoint.ipv4, port)).is_err());
    }
    // To a port published on loopback, with a loopback address on the wire.
    world.outside.sh("echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet");
    assert!(tcp_seen_from(&world.outside, "127.0.0.2:7070".parse().unwrap()).is_err());
    // From a container to what listens on the host's loopback only.
    let _server = world.host.run(|| TcpListener::bind("127.0.0.3:60").unwrap());
    container.sh("echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
         ip route del local 127.0.0.0/8 dev lo table local; ip route add 127.0.0.3 via 10.77.3.1");
    assert!(tcp_seen_from(&container, "127.0.0.3:60".parse().unwrap()).is_err());
}

#[test]
fn two_networks_of_one_engine_are_apart() {
    let world = World::new();
    let (one, _) = world.container(2, &[]);
    let other = Network {
        name: "other".into(),
        bridge: "sampan1".into(),
        ipv4: "10.77.4.0/24".parse().unwrap(),
        ipv4_gateway: "10.77.4.1".parse().unwrap(),
        ipv6: None,
        ipv6_gateway: None,
        ..world.network.clone()
    };
    assert!(world.host.run(|| Host::new().ensure_bridge(&other)).unwrap());
    let (two, mut second) = (Namespace::new(), world.endpoint(3, &["8080:80"]));
    (second.ipv4, second.ipv6) = ("10.77.4.3".parse().unwrap(), None);
    world.host.run(|| {
        let mut host = Host::new();
        let plan = host.plan(&other, &second).unwrap();
        host.attach(plan, two.fd()).unwrap();
    });
    let _listening = two.run(|| TcpListener::bind("0.0.0.0:81").unwrap());
    assert!(tcp_seen_from(&one, at(second.ipv4, 81)).is_err());
    // What is published is reached from everywhere, with the client's address.
    let server = tcp_server(&two, "0.0.0.0:80");
    assert_eq!(tcp_seen_from(&one, at(HOST, 8080)).unwrap(), ip("10.77.3.2"));
    server.join().unwrap();
    // Removing one leaves the other; removing the last leaves no table.
    world.host.run(|| Host::new().remove_bridge(&other)).unwrap();
    assert!(world.host.sh("nft list ruleset").contains("sampan0"));
    world.host.run(|| Host::new().remove_bridge(&world.network)).unwrap();
    assert_eq!(world.host.sh("nft list ruleset"), "");
    assert!(!world.host.sh("ip -o link").contains("sampan"));
    world.host.run(|| Host::new().remove_bridge(&world.network)).unwrap();
}

#[test]
fn a_taken_port_names_the_program() {
    let world = World::new();
    let _listener = world.host.run(|| TcpListener::bind("0.0.0.0:80").unwrap());
    let error =
        world.host.run(|| Host::new().plan(&world.network, &world.endpoint(2, &["80:8000"]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(error.to_string(), "cannot publish port 80/tcp");
    let program = std::fs::read_to_string("/proc/self/comm").unwrap();
    let held = format!("address in use, held by {} (pid {})", program.trim(), std::process::id());
    assert_eq!(error.causes(), [held]);
    assert_eq!(error.remedy(), Some("-p 8080:8000, or stop that process"));
    let _ipv6 = world.host.run(|| TcpListener::bind("[::1]:81").unwrap());
    assert!(world.host.run(|| Host::new().plan(&world.network, &world.endpoint(2, &["81:80"]))).is_err());
    assert!(
        world.host.run(|| Host::new().plan(&world.network, &world.endpoint(2, &["0.0.0.0:81:80"]))).is_ok()
    );
    // An address that is not the host's.
    let elsewhere = world.endpoint(2, &["203.0.113.9:80:80"]);
    let error = world.host.run(|| Host::new().plan(&world.network, &elsewhere)).unwrap_err();
    assert_eq!(error.causes(), ["203.0.113.9 is not an address of this host"]);
    // The other protocol.
    assert!(
        world.host.run(|| Host::new().plan(&world.network, &world.endpoint(2, &["80:8000/udp"]))).is_ok()
    );
}

#[test]
fn a_port_of_another_container_is_taken() {
    let world = World::new();
    world.container(2, &["8080:80"]);
    let refused = |ports: &[&str]| {
        let error =
            world.host.run(|| Host::new().plan(&world.network, &world.endpoint(3, ports))).unwrap_err();
        (error.to_string(), error.causes().remove(0))
    };
    let what = "cannot publish port 8080/tcp".to_owned();
    assert_eq!(refused(&["8080:81"]), (what.clone(), "address in use, published for 10.77.3.2".into()));
    assert_eq!(
        refused(&["9090:80", "9090:81"]),
        ("cannot publish port 9090/tcp".into(), "it is published twice".into())
    );
    // Taken between plan and attach: the kernel decides, and nothing stays.
    let endpoint = world.endpoint(4, &["9090:80"]);
    let late = world.host.run(|| Host::new().plan(&world.network, &endpoint)).unwrap();
    world.container(3, &["9090:80"]);
    let container = Namespace::new();
    let error = world.host.run(|| Host::new().attach(late, container.fd())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:?}");
    assert!(!world.host.sh("ip -o link").contains(&endpoint.link()));
    assert!(!container.sh("ip -o link").contains("eth0"));
}

#[test]
fn host_port_0_is_chosen() {
    let world = World::new();
    let (one, two) = (Namespace::new(), Namespace::new());
    let first = world.attach(&world.endpoint(2, &["80", "81"]), &one).unwrap().ports;
    let second = world.attach(&world.endpoint(3, &["80"]), &two).unwrap().ports;
    let chosen = [first[0].host_port, first[1].host_port, second[0].host_port];
    assert!(chosen.iter().all(|port| *port >= 32768) && chosen[0] != chosen[1] && chosen[1] != chosen[2]);
    let server = tcp_server(&two, "[::]:80");
    assert!(tcp_seen_from(&world.outside, at(HOST, second[0].host_port)).is_ok());
    server.join().unwrap();
}

#[test]
fn detach_takes_all_of_one_endpoint_and_nothing_else() {
    let world = World::new();
    let (container, endpoint) = world.container(2, &["8080:80", "127.0.0.1:9090:90/udp"]);
    let (_other, _) = world.container(3, &["8081:80"]);
    for _ in 0..2 {
        world.host.run(|| Host::new().detach(&world.network, &endpoint)).unwrap();
    }
    let rules = world.host.sh("nft list ruleset");
    assert!(!rules.contains("10.77.3.2") && !rules.contains("fd77:1:2:3::2"), "{rules}");
    assert!(rules.contains("10.77.3.3") && rules.contains("fd77:1:2:3::3"), "{rules}");
    assert!(!world.host.sh("ip -o link").contains(&endpoint.link()));
    assert!(!container.sh("ip -o link").contains("eth0"));
    // A port that another endpoint has now is not this one's to take away.
    let (_third, _) = world.container(4, &["8080:80"]);
    world.host.run(|| Host::new().detach(&world.network, &endpoint)).unwrap();
    assert!(world.host.sh("nft list map inet sampan ports4").contains("10.77.3.4 . 80"));
}

#[test]
fn a_retired_endpoint_is_cut_off_and_comes_back() {
    let world = World::new();
    let (container, endpoint) = world.container(2, &["8080:80"]);
    let (other, _) = world.container(3, &[]);
    let _listening = container.run(|| TcpListener::bind("[::]:80").unwrap());
    for _ in 0..2 {
        world.host.run(|| Host::new().retire(&world.network, &endpoint)).unwrap();
    }
    // Something still keeps the namespace; nothing gets there all the same.
    assert!(tcp_seen_from(&other, at(endpoint.ipv4, 80)).is_err());
    let refused = tcp_seen_from(&world.host, at(Ipv4Addr::LOCALHOST, 8080)).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let container = Namespace::new();
    world.attach(&endpoint, &container).unwrap();
    let server = tcp_server(&container, "[::]:80");
    assert_eq!(tcp_seen_from(&world.outside, at(HOST, 8080)).unwrap(), IpAddr::V4(OUTSIDE));
    server.join().unwrap();
    // Without anybody keeping it, the link goes with the namespace.
    let (gone, endpoint) = world.container(4, &[]);
    world.host.run(|| Host::new().retire(&world.network, &endpoint)).unwrap();
    drop(gone);
    let start = std::time::Instant::now();
    while world.host.sh("ip -o link").contains(&endpoint.link()) {
        assert!(start.elapsed() < support::PATIENCE, "the link stays");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn subnets_are_chosen_beside_what_the_host_has() {
    let world = World::new();
    let choose =
        |taken: &[ipnet::IpNet]| world.host.run(|| Host::new().choose_subnets(b"seed", taken)).unwrap();
    let first = choose(&[]);
    assert_ne!(choose(&[first.0.into()]).0, first.0);
    world.host.sh(&format!(
        "ip route add blackhole {}; ip addr add {} dev wire0",
        first.1,
        first.0.hosts().next().unwrap()
    ));
    let second = choose(&[]);
    assert!(second.0 != first.0 && second.1 != first.1);
}

#[test]
fn an_endpoint_comes_back_with_all_it_had() {
    let world = World::new();
    let (container, endpoint) = world.container(2, &["8080:80"]);
    // After a detach, and over what a killed engine left.
    world.host.run(|| Host::new().detach(&world.network, &endpoint)).unwrap();
    world.attach(&endpoint, &container).unwrap();
    drop(container);
    let container = Namespace::new();
    world.attach(&endpoint, &container).unwrap();
    let server = tcp_server(&container, "[::]:80");
    assert_eq!(tcp_seen_from(&world.outside, at(HOST, 8080)).unwrap(), IpAddr::V4(OUTSIDE));
    server.join().unwrap();
}

#[test]
fn a_flushed_firewall_is_put_right() {
    let world = World::new();
    let (container, endpoint) = world.container(2, &["8080:80"]);
    let (_gone, stale) = world.container(3, &["8081:80"]);
    world.host.sh("nft flush ruleset");
    assert!(tcp_seen_from(&world.outside, at(HOST, 8080)).is_err());
    assert!(world.host.run(|| Host::new().ensure_bridge(&world.network)).unwrap(), "the loss is told");
    assert!(!world.host.run(|| Host::new().ensure_bridge(&world.network)).unwrap());
    world.host.run(|| Host::new().reconcile(&world.network, std::slice::from_ref(&endpoint))).unwrap();
    let server = tcp_server(&container, "[::]:80");
    assert_eq!(tcp_seen_from(&world.outside, at(HOST, 8080)).unwrap(), IpAddr::V4(OUTSIDE));
    server.join().unwrap();
    let links = world.host.sh("ip -o link");
    assert!(links.contains(&endpoint.link()) && !links.contains(&stale.link()), "{links}");
    // An attach brings an emptied firewall back by itself.
    world.host.sh("nft flush ruleset");
    let (container, _) = world.container(4, &["8082:80"]);
    let server = tcp_server(&container, "[::]:80");
    assert_eq!(tcp_seen_from(&world.outside, at(HOST, 8082)).unwrap(), IpAddr::V4(OUTSIDE));
    server.join().unwrap();
}

#[test]
fn reconcile_takes_away_what_no_live_endpoint_has() {
    let world = World::new();
    let (_one, live) = world.container(2, &["8080:80"]);
    let (_two, dead) = world.container(3, &["8081:80"]);
    for _ in 0..2 {
        world.host.run(|| Host::new().reconcile(&world.network, std::slice::from_ref(&live))).unwrap();
    }
    let rules = world.host.sh("nft list ruleset");
    assert!(rules.contains("elements = { \"sampan0\" }"), "{rules}");
    assert!(rules.contains("10.77.3.2 . 80") && !rules.contains("10.77.3.3"), "{rules}");
    let links = world.host.sh("ip -o link");
    assert!(links.contains(&live.link()) && !links.contains(&dead.link()), "{links}");
}

#[test]
fn a_link_of_somebody_else_is_left_alone() {
    let host = Namespace::new();
    host.sh("ip link add sampan0 type bridge");
    let world = World::new();
    for work in
        [|n: &Network| Host::new().ensure_bridge(n).map(drop), |n: &Network| Host::new().remove_bridge(n)]
    {
        let error = host.run(|| work(&world.network)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(error.causes(), ["there is a link sampan0 that is not this network's bridge"]);
    }
    assert!(host.sh("ip -o link").contains("sampan0"));
}

#[test]
fn attaching_without_the_bridge_says_so() {
    let world = World::new();
    world.host.sh("ip link del sampan0");
    let error = world.attach(&world.endpoint(2, &[]), &Namespace::new()).unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "NotFound: cannot connect c2 to network default: the bridge sampan0 is not there"
    );
}

#[test]
fn refused_endpoints() {
    let world = World::new();
    let refused = |change: &dyn Fn(&mut sampan_net::Endpoint)| {
        let mut endpoint = world.endpoint(2, &[]);
        change(&mut endpoint);
        Host::new().plan(&world.network, &endpoint).unwrap_err().causes().remove(0)
    };
    assert_eq!(
        refused(&|e| e.ipv4 = "10.77.4.2".parse().unwrap()),
        "10.77.4.2 is no host address of 10.77.3.0/24"
    );
    assert_eq!(refused(&|e| e.ipv4 = "10.77.3.1".parse().unwrap()), "10.77.3.1 is the network's gateway");
    assert_eq!(
        refused(&|e| e.ipv4 = "10.77.3.255".parse().unwrap()),
        "10.77.3.255 is no host address of 10.77.3.0/24"
    );
    assert_eq!(
        refused(&|e| e.ipv6 = Some("fd00::1".parse().unwrap())),
        "fd00::1 is no host address of fd77:1:2:3::/64"
    );
    assert_eq!(refused(&|e| e.mac = [1; 6]), "the link-layer address is not one of a single station");
    assert_eq!(refused(&|e| e.interface = "a/b".into()), "\"a/b\" cannot be a link's name");
    let endpoint = world.endpoint(2, &["[::1]:80:80"]);
    let error = world.host.run(|| Host::new().plan(&world.network, &endpoint)).unwrap_err();
    assert_eq!(error.causes(), ["the kernel cannot lead connections to ::1 elsewhere"]);
}
