//! What reaches what, and who it seems to come from.

use crate::support::{
    HOST, HOST6, Namespace, OUTSIDE, OUTSIDE6, World, at, connects, ip, tcp_seen_from, tcp_server,
    udp_seen_from, udp_server,
};
use sampan_net::{Host, Network, loopback_up};
use std::{
    net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket},
    time::Duration,
};

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
    let (container, endpoint) = world.container(2, &["8080:80", "127.0.0.1:7070:70/udp"]);
    let _listening = container.run(|| ["[::]:80", "[::]:81"].map(|a| TcpListener::bind(a).unwrap()));
    // Straight to the container's address, as a machine on the same wire can.
    world.outside.sh(&format!("ip route add 10.77.3.0/24 via {HOST}"));
    for port in [80, 81] {
        assert!(!connects(&world.outside, at(endpoint.ipv4, port)));
    }
    // To a port published on loopback, with a loopback address on the wire.
    world.outside.sh(&format!(
        "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; ip route flush table local root 127.0.0.0/8
         ip route add 127.0.0.1 via {HOST}"
    ));
    let inside = container.run(|| UdpSocket::bind("[::]:70").unwrap());
    inside.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    world.outside.run(|| UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"?", "127.0.0.1:7070").unwrap());
    assert!(inside.recv(&mut [0; 8]).is_err());
    // From a container to what listens on the host's loopback only.
    let _server = world.host.run(|| TcpListener::bind("127.0.0.3:60").unwrap());
    container.sh("echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
         ip route del local 127.0.0.0/8 dev lo table local; ip route add 127.0.0.3 via 10.77.3.1");
    assert!(!connects(&container, "127.0.0.3:60".parse().unwrap()));
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
    assert!(!connects(&one, at(second.ipv4, 81)));
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
