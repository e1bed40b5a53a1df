//! The process's own life.

use crate::support::{ID, World, ask, entry, is_unlocked, network, until};
use hickory_proto::{op::ResponseCode, rr::RecordType};
use sampan_names::{problem, publish, publish_network, unpublish, unpublish_network};
use std::{
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

fn asks_db(world: &World) {
    let expected = (vec!["10.77.3.2".to_owned()], ResponseCode::NoError);
    assert_eq!(ask(world, "10.77.3.1:53", "db.", RecordType::A), expected);
}

#[test]
fn there_is_one_and_a_killed_one_is_replaced() {
    let world = World::new("");
    asks_db(&world);
    let first = world.process();
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(|| world.start()))));
    asks_db(&world);
    assert_eq!(world.process(), first);
    world.kill();
    world.start();
    asks_db(&world);
    assert_ne!(world.process(), first);
}

#[test]
fn it_ends_when_nothing_is_published() {
    let world = World::new("");
    asks_db(&world);
    let start = Instant::now();
    unpublish(world.dir.path(), "net", ID).unwrap();
    while !is_unlocked(world.dir.path()) {
        assert!(start.elapsed() < Duration::from_secs(15), "it does not end");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(start.elapsed() > Duration::from_secs(9), "it has waited: {:?}", start.elapsed());
    until("its end", || world.process().is_none());
    publish(world.dir.path(), "net", ID, &entry("db", 2)).unwrap();
    world.start();
    asks_db(&world);
}

#[test]
fn a_port_that_is_taken_is_told_and_taken_later() {
    let world = World::without_process("");
    let other = world.host.run(|| UdpSocket::bind("10.77.3.1:53").unwrap());
    publish(world.dir.path(), "net", ID, &entry("db", 2)).unwrap();
    world.start();
    let dir = world.dir.path();
    until("the problem", || problem(dir, "net").is_some());
    let text = problem(dir, "net").unwrap();
    assert_eq!(text, "cannot serve DNS on 10.77.3.1:53: Address already in use (os error 98)\n");
    drop(other);
    asks_db(&world);
    assert_eq!(problem(dir, "net"), None);
}

#[test]
fn networks_come_go_and_change() {
    let world = World::new("");
    asks_db(&world);
    let dir = world.dir.path();
    // Another address of the same bridge.
    world.host.sh("ip addr add 10.77.4.1/24 dev sampan0");
    world.container.sh("ip route add 10.77.4.1 dev eth0");
    let mut changed = network();
    (changed.ipv4, changed.ipv4_gateway) = ("10.77.4.0/24".parse().unwrap(), "10.77.4.1".parse().unwrap());
    (changed.ipv6, changed.ipv6_gateway) = (None, None);
    publish_network(dir, "net", &changed).unwrap();
    assert_eq!(ask(&world, "10.77.4.1:53", "db.", RecordType::A).0, ["10.77.3.2"]);
    // The old one is free for another network, which knows nothing of the first one's names.
    publish_network(dir, "other", &network()).unwrap();
    let known = || ask(&world, "10.77.3.1:53", "db.", RecordType::A).1 == ResponseCode::NoError;
    until("the second network", || !known());
    publish(dir, "other", ID, &entry("db", 2)).unwrap();
    assert!(known());
    unpublish_network(dir, "net").unwrap();
    assert!(known());
}
