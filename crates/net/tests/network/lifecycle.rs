//! Planning, attaching, taking off, and putting right what others broke.

use crate::support::{HOST, Namespace, OUTSIDE, PATIENCE, World, at, connects, tcp_seen_from, tcp_server};
use sampan_net::{Host, Network};
use sampan_types::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, TcpListener};

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
    assert!(!connects(&other, at(endpoint.ipv4, 80)));
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
        assert!(start.elapsed() < PATIENCE, "the link stays");
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
    assert!(!connects(&world.outside, at(HOST, 8080)));
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
