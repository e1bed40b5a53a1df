//! Names, ids, ports.

use super::Fixture;
use crate::{NewContainer, Store};
use sampan_types::{ContainerId, Error, ErrorKind, ExitRecord, PortMapping};
use std::time::SystemTime;

#[test]
fn a_record_comes_back_as_it_was_given() {
    let fixture = Fixture::with_network("10.88.0.0/24");
    let mut new = fixture.with_port("web", "127.0.0.1:8080:80");
    new.config.labels.insert("a".into(), "b".into());
    let created = fixture.store.create_container(new.clone()).unwrap();
    assert_eq!(created.config, new.config);
    for key in ["web", "/web", created.id.as_str(), created.id.short(), &created.id.as_str()[..5]] {
        assert_eq!(fixture.store.container(key).unwrap(), created, "{key}");
    }
    assert_eq!(fixture.store.containers().unwrap(), [created]);
}

#[test]
fn a_taken_name_says_by_whom() {
    let fixture = Fixture::new();
    let first = fixture.store.create_container(fixture.container("web")).unwrap();
    let error = fixture.store.create_container(fixture.container("web")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(error.to_string(), "cannot create container \"web\"");
    assert_eq!(error.causes(), [format!("the name is in use by container {}", first.id.short())]);
    assert_eq!(error.remedy(), Some("sampan rm web, or choose another --name"));
}

#[test]
fn a_failed_creation_leaves_nothing() {
    let fixture = Fixture::with_network("10.88.0.0/24");
    fixture.store.create_container(fixture.with_port("one", "80:80")).unwrap();
    fixture.store.create_container(fixture.with_port("two", "80:80")).unwrap_err();
    assert_eq!(fixture.store.containers().unwrap().len(), 1);
    let third = fixture.store.create_container(fixture.with_port("two", "81:80")).unwrap();
    assert_eq!(third.endpoint.unwrap().ipv4.to_string(), "10.88.0.3", "its address was given back");
}

#[test]
fn ids_that_begin_alike_are_ambiguous() {
    let fixture = Fixture::new();
    let with_id = |name: &str, digits: &str| {
        let id: ContainerId = format!("{digits}{}", "0".repeat(64 - digits.len())).parse().unwrap();
        fixture.store.create_container(NewContainer { id, ..fixture.container(name) }).unwrap()
    };
    with_id("one", "abc1");
    with_id("two", "abc2");
    let error = fixture.store.container("abc").unwrap_err();
    assert_eq!(error.to_string(), "container abc is ambiguous");
    assert_eq!(error.causes(), ["these begin so: abc100000000 (one), abc200000000 (two)"]);
    assert_eq!(fixture.store.container("abc1").unwrap().name.as_str(), "one");
    with_id("abc1", "def0");
    assert_eq!(fixture.store.container("abc1").unwrap().id.short(), "def000000000", "names come first");
    for missing in ["abc3", "xyz", "", "ABC1"] {
        let error = fixture.store.container(missing).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (ErrorKind::NotFound, format!("no such container: {missing}"))
        );
    }
}

#[test]
fn ports_conflict_where_a_packet_could_be_meant_for_both() {
    let held = |first: &str, second: &str| {
        let fixture = Fixture::with_network("10.88.0.0/24");
        let one = fixture.store.create_container(fixture.with_port("one", first)).unwrap();
        let result = fixture.store.create_container(fixture.with_port("two", second));
        result.err().map(|error| (error, one.id.short().to_owned()))
    };
    for (first, second) in [
        ("80:80", "80:80"),
        ("80:80", "127.0.0.1:80:80"),
        ("127.0.0.1:80:80", "80:80"),
        ("0.0.0.0:80:80", "127.0.0.1:80:80"),
        ("[::]:80:80", "[::1]:80:80"),
        ("80:80", "[::1]:80:80"),
    ] {
        let (error, id) = held(first, second).unwrap_or_else(|| panic!("{first} {second}"));
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(error.to_string(), "cannot publish port 80/tcp");
        assert_eq!(error.causes(), [format!("it is published by container one ({id})")]);
        assert_eq!(error.remedy(), Some("another host port, as in -p 8080:80, or sampan rm -f one"));
    }
    for (first, second) in [
        ("80:80", "81:80"),
        ("80:80", "80:80/udp"),
        ("127.0.0.1:80:80", "127.0.0.2:80:80"),
        ("0.0.0.0:80:80", "[::1]:80:80"),
        ("80", "80"),
    ] {
        assert!(held(first, second).is_none(), "{first} {second}");
    }
}

#[test]
fn a_port_asked_for_twice() {
    let fixture = Fixture::with_network("10.88.0.0/24");
    let mut new = fixture.with_port("web", "80:80");
    new.config.ports.extend(PortMapping::parse("80:81").unwrap());
    let error = fixture.store.create_container(new).unwrap_err();
    assert_eq!(error.causes(), ["it is asked for twice"]);
}

#[test]
fn chosen_ports_are_reserved_and_given_back() {
    let fixture = Fixture::with_network("10.88.0.0/24");
    let store = &fixture.store;
    let web = store.create_container(fixture.with_port("web", "80")).unwrap();
    store.update_ports(&web.id, &PortMapping::parse("49153:80").unwrap()).unwrap();
    assert_eq!(store.container("web").unwrap().config.ports[0].host_port, 49153);
    let taken = |name: &str| store.create_container(fixture.with_port(name, "49153:80"));
    assert_eq!(taken("two").unwrap_err().kind(), ErrorKind::AlreadyExists);
    store.delete_container(&web.id).unwrap();
    let two = taken("two").unwrap();
    store.update_ports(&two.id, &PortMapping::parse("49154:80").unwrap()).unwrap();
    taken("three").unwrap();
    let error = store.update_ports(&two.id, &PortMapping::parse("49153:80").unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(store.container("two").unwrap().config.ports[0].host_port, 49154);
}

#[test]
fn exit_name_and_end() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let web = store.create_container(fixture.container("web")).unwrap();
    let now = SystemTime::now();
    let exit =
        ExitRecord { code: 137, oom_killed: true, error: None, finished_at: now, started_at: Some(now) };
    store.set_exit(&web.id, &exit).unwrap();
    assert_eq!(store.container("web").unwrap().last_exit, Some(exit.clone()));
    store.create_container(fixture.container("other")).unwrap();
    let error = store.rename(&web.id, &"other".parse().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    store.rename(&web.id, &"new".parse().unwrap()).unwrap();
    assert_eq!(store.container("new").unwrap().id, web.id);
    store.delete_container(&web.id).unwrap();
    store.delete_container(&web.id).unwrap();
    let gone = |error: Error| assert_eq!(error.to_string(), format!("no such container: {}", web.id.short()));
    gone(store.set_exit(&web.id, &exit).unwrap_err());
    gone(store.rename(&web.id, &"x1".parse().unwrap()).unwrap_err());
}

#[test]
fn many_processes_create_at_once() {
    let fixture = Fixture::with_network("10.88.0.0/24");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let fixture = &fixture;
            scope.spawn(move || {
                let store = Store::open(fixture.root.path()).unwrap();
                for number in 0..20 {
                    store.create_container(fixture.on_bridge(&format!("c{thread}-{number}"))).unwrap();
                }
            });
        }
    });
    let mut addresses: Vec<_> =
        fixture.store.containers().unwrap().into_iter().map(|c| c.endpoint.unwrap().ipv4).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 80);
}
