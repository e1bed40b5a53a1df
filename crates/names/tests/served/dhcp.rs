//! Addresses asked for by busybox's DHCP client.

use crate::support::{Namespace, World, entry, wire};
use sampan_names::publish;
use std::{fs, process::Command};

/// What the client does with what it gets: it writes that down.
const SCRIPT: &str = "#!/bin/sh\n[ $1 = bound ] && echo $ip $subnet $router $dns $hostname $lease $serverid > $0.got\nexit 0\n";

/// Asks once; gives what the client was told, if anything.
fn lease(world: &World, client: &Namespace, number: u8) -> Option<String> {
    let script = world.dir.path().join(format!("client{number}"));
    fs::write(&script, SCRIPT).unwrap();
    let script = script.to_str().unwrap();
    client.run(|| {
        let options = ["udhcpc", "-i", "eth0", "-f", "-n", "-q", "-t", "3", "-T", "1", "-s", script];
        Command::new("chmod").args(["+x", script]).status().unwrap();
        Command::new("busybox").args(options).output().unwrap();
    });
    fs::read_to_string(format!("{script}.got")).ok()
}

#[test]
fn an_endpoint_gets_its_own_address_and_a_stranger_none() {
    let world = World::new("");
    let (known, stranger) = (Namespace::new(), Namespace::new());
    wire(&world.host, &known, 3);
    wire(&world.host, &stranger, 4);
    publish(world.dir.path(), "net", "fedcba9876543210", &entry("box", 3)).unwrap();
    let lease_of = |client, number| lease(&world, client, number);
    let expected = "10.77.3.3 255.255.255.0 10.77.3.1 10.77.3.1 box-host 3600 10.77.3.1\n";
    assert_eq!(lease_of(&known, 3).as_deref(), Some(expected));
    assert_eq!(lease_of(&stranger, 4), None);
    // A client that has its address already is told the same.
    assert_eq!(lease_of(&world.container, 2).map(|text| text.starts_with("10.77.3.2 ")), Some(true));
}
