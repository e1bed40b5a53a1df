//! Networks and the addresses of endpoints.

use super::{Fixture, network};
use sampan_types::{ErrorKind, Result};
use std::net::IpAddr;

impl Fixture {
    fn address(&self, name: &str, ip: Option<&str>) -> Result<String> {
        let mut new = self.on_bridge(name);
        new.ip = ip.map(|ip| ip.parse::<IpAddr>().unwrap());
        Ok(self.store.create_container(new)?.endpoint.unwrap().ipv4.to_string())
    }

    fn delete(&self, name: &str) {
        self.store.delete_container(&self.store.container(name).unwrap().id).unwrap();
    }
}

#[test]
fn a_network_comes_back_as_it_was_given() {
    let fixture = Fixture::with_network("10.88.0.0/24");
    assert_eq!(fixture.store.network("bridge").unwrap(), Some(network("bridge", "10.88.0.0/24")));
    assert_eq!(fixture.store.network("other").unwrap(), None);
    let error = fixture.store.insert_network(&network("bridge", "10.89.0.0/24")).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::AlreadyExists, "cannot create network bridge".into())
    );
}

#[test]
fn impossible_networks_are_refused() {
    let fixture = Fixture::new();
    let mut outside = network("n", "10.0.0.0/24");
    outside.gateway = "10.0.1.1".parse().unwrap();
    let mut small6 = network("n", "10.0.0.0/24");
    small6.subnet6 = Some("fd00::/112".parse().unwrap());
    for (network, why) in [
        (network("n", "10.0.0.0/31"), "the subnet 10.0.0.0/31 has no room for a gateway and an endpoint"),
        (outside, "the gateway 10.0.1.1 is not in the subnet 10.0.0.0/24"),
        (small6, "the subnet fd00::/112 is smaller than a /96"),
    ] {
        let error = fixture.store.insert_network(&network).unwrap_err();
        assert_eq!((error.kind(), error.causes()), (ErrorKind::InvalidInput, vec![why.to_owned()]));
    }
}

#[test]
fn an_endpoint_has_addresses_of_its_own() {
    let fixture = Fixture::with_network("10.88.0.0/24");
    let one = fixture.store.create_container(fixture.on_bridge("one")).unwrap();
    let endpoint = one.endpoint.unwrap();
    assert_eq!(endpoint.network, "bridge");
    assert_eq!(endpoint.ipv4.to_string(), "10.88.0.2");
    assert_eq!(endpoint.ipv6.unwrap().to_string(), "fd00:1::a58:2");
    assert_eq!(endpoint.mac[0] & 0b11, 0b10, "locally administered, not a group");
    let two = fixture.store.create_container(fixture.on_bridge("two")).unwrap();
    assert_ne!(two.endpoint.unwrap().mac, endpoint.mac);
}

#[test]
fn a_freed_address_is_used_again_last() {
    let fixture = Fixture::with_network("10.88.0.0/29");
    for (name, address) in [("c1", "10.88.0.2"), ("c2", "10.88.0.3"), ("c3", "10.88.0.4")] {
        assert_eq!(fixture.address(name, None).unwrap(), address);
    }
    fixture.delete("c2");
    fixture.delete("c1");
    assert_eq!(fixture.address("c4", None).unwrap(), "10.88.0.5");
    assert_eq!(fixture.address("c5", None).unwrap(), "10.88.0.6");
    assert_eq!(fixture.address("c6", None).unwrap(), "10.88.0.2", "round the end, past the gateway");
    assert_eq!(fixture.address("c7", None).unwrap(), "10.88.0.3");
    let error = fixture.address("c8", None).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::Exhausted, "network bridge has no free address".into())
    );
    assert_eq!(error.causes(), ["all of 10.88.0.0/29 are in use"]);
    fixture.delete("c3");
    assert_eq!(fixture.address("c8", None).unwrap(), "10.88.0.4");
}

#[test]
fn ranges_are_joined_again() {
    let fixture = Fixture::with_network("10.88.0.0/24");
    let names: Vec<_> = (0..60).map(|number| format!("c{number}")).collect();
    names.iter().for_each(|name| drop(fixture.address(name, None).unwrap()));
    // In an order that meets every case of neighbours.
    for name in names.iter().step_by(2).chain(names.iter().skip(1).step_by(2)) {
        fixture.delete(name);
    }
    let ranges: Vec<(u32, u32)> = fixture
        .store
        .db
        .read("test", |tx| {
            let mut statement = tx.prepare("SELECT first, last FROM free_range")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .unwrap();
    let base = u32::from_be_bytes([10, 88, 0, 0]);
    assert_eq!(ranges, [(base + 2, base + 254)]);
}

#[test]
fn a_wanted_address_is_had_or_its_holder_named() {
    let fixture = Fixture::with_network("10.88.0.0/24");
    assert_eq!(fixture.address("web", Some("10.88.0.50")).unwrap(), "10.88.0.50");
    assert_eq!(
        fixture.address("next", None).unwrap(),
        "10.88.0.2",
        "a wanted address does not move the search"
    );
    let id = fixture.store.container("web").unwrap().id;
    let error = fixture.address("other", Some("10.88.0.50")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(error.to_string(), "cannot give a container the address 10.88.0.50");
    assert_eq!(error.causes(), [format!("it is in use by container web ({})", id.short())]);
    for own in ["10.88.0.0", "10.88.0.1", "10.88.0.255"] {
        let error = fixture.address("other", Some(own)).unwrap_err();
        assert_eq!(error.causes(), ["network bridge keeps it for itself"], "{own}");
    }
    let error = fixture.address("other", Some("10.89.0.5")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.causes(), ["it is not in 10.88.0.0/24, the subnet of network bridge"]);
    assert_eq!(error.remedy(), Some("--ip with an address of 10.88.0.0/24"));
}

#[test]
fn a_wanted_ipv6_address() {
    let fixture = Fixture::with_network("10.88.0.0/24");
    let create = |name: &str, ip: &str| {
        let mut new = fixture.on_bridge(name);
        new.ip = Some(ip.parse().unwrap());
        fixture.store.create_container(new).map(|c| c.endpoint.unwrap().ipv6.unwrap().to_string())
    };
    assert_eq!(create("one", "fd00:1::50").unwrap(), "fd00:1::50");
    assert!(
        create("two", "fd00:1::50").unwrap_err().causes()[0].starts_with("it is in use by container one (")
    );
    assert_eq!(create("two", "fd00:1::1").unwrap_err().causes(), ["network bridge keeps it for itself"]);
    assert_eq!(create("two", "fd00:2::1").unwrap_err().kind(), ErrorKind::InvalidInput);
}
