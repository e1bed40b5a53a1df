//! Names asked over the wire.

use crate::support::{World, ask, ask_tcp, data, entry, question};
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType, rdata::A},
};
use sampan_names::{publish, unpublish};
use std::{
    io::{Read, Write},
    net::{TcpListener, UdpSocket},
    thread,
};

const IPV4: &str = "10.77.3.1:53";
const IPV6: &str = "[fd77:1:2:3::1]:53";

/// What the host's resolver answers: one address for `example.test`, a failure for `fail.test`, too much for UDP for
/// `long.test`.
fn upstream(request: &[u8], udp: bool) -> Vec<u8> {
    let request = Message::from_vec(request).unwrap();
    let name = request.queries[0].name.clone();
    let mut answer = request.into_response();
    let record = |last| Record::from_rdata(name.clone(), 60, RData::A(A::new(192, 0, 2, last)));
    match name.to_ascii().as_str() {
        "example.test." => drop(answer.add_answer(record(80))),
        "long.test." if udp => answer.metadata.truncation = true,
        "long.test." => drop(answer.add_answers((1..100).map(record))),
        _ => answer.metadata.response_code = ResponseCode::ServFail,
    }
    answer.to_vec().unwrap()
}

/// The host's resolver on 127.0.0.1. Before each true answer over UDP somebody guesses one, with another id.
fn serve_upstream(world: &World) {
    let (udp, tcp) = world
        .host
        .run(|| (UdpSocket::bind("127.0.0.1:53").unwrap(), TcpListener::bind("127.0.0.1:53").unwrap()));
    thread::spawn(move || {
        let mut bytes = [0; 1024];
        while let Ok((length, client)) = udp.recv_from(&mut bytes) {
            let answer = upstream(&bytes[..length], true);
            let mut guess = Message::from_vec(&answer).unwrap();
            guess.metadata.id ^= 1;
            guess.answers.clear();
            udp.send_to(&guess.to_vec().unwrap(), client).unwrap();
            udp.send_to(&answer, client).unwrap();
        }
    });
    thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut bytes = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut bytes).unwrap();
            let answer = upstream(&bytes, false);
            stream.write_all(&[&(answer.len() as u16).to_be_bytes(), answer.as_slice()].concat()).unwrap();
        }
    });
}

fn one(address: &str) -> (Vec<String>, ResponseCode) {
    (vec![address.to_owned()], ResponseCode::NoError)
}

#[test]
fn names_of_the_network() {
    let world = World::new("");
    for server in [IPV4, IPV6] {
        for name in ["db.", "DB.net.", "db-host.", "0123456789ab."] {
            assert_eq!(ask(&world, server, name, RecordType::A), one("10.77.3.2"), "{name} of {server}");
        }
        assert_eq!(ask(&world, server, "db.", RecordType::AAAA), one("fd77:1:2:3::2"));
        assert_eq!(ask(&world, server, "2.3.77.10.in-addr.arpa.", RecordType::PTR), one("db.net."));
        let answer =
            world.container.run(|| ask_tcp(server.parse().unwrap(), &question("db.", RecordType::A)));
        assert_eq!(data(&answer.unwrap()), one("10.77.3.2"));
    }
    // Those that come and go while it runs.
    publish(world.dir.path(), "net", "fedcba9876543210", &entry("web", 3)).unwrap();
    assert_eq!(ask(&world, IPV4, "web.", RecordType::A), one("10.77.3.3"));
    unpublish(world.dir.path(), "net", "fedcba9876543210").unwrap();
    assert_eq!(ask(&world, IPV4, "web.", RecordType::A), (vec![], ResponseCode::ServFail));
}

#[test]
fn other_names_are_the_hosts_resolvers() {
    // The second does not listen, the third is the process itself.
    let world = World::new("nameserver 127.0.0.1\nnameserver 127.0.0.9\nnameserver 10.77.3.1\n");
    serve_upstream(&world);
    assert_eq!(ask(&world, IPV4, "example.test.", RecordType::A), one("192.0.2.80"));
    assert_eq!(ask(&world, IPV4, "fail.test.", RecordType::A), (vec![], ResponseCode::ServFail));
    let server = IPV4.parse().unwrap();
    let answer = world.container.run(|| ask_tcp(server, &question("example.test.", RecordType::A))).unwrap();
    assert_eq!(data(&answer), one("192.0.2.80"));
    // Too long for UDP: the client is told, and gets all of it over TCP.
    let long = question("long.test.", RecordType::A);
    let answer = world.container.run(|| crate::support::ask_udp(server, &long)).unwrap();
    assert!(answer.metadata.truncation && answer.answers.is_empty());
    let answer = world.container.run(|| ask_tcp(server, &long)).unwrap();
    assert_eq!((answer.metadata.id, answer.answers.len()), (4711, 99));
}

#[test]
fn a_silent_resolver_is_passed_over_and_holds_nobody_up() {
    let world = World::new("nameserver 127.0.0.8\nnameserver 127.0.0.1\n");
    serve_upstream(&world);
    // It takes questions and never answers.
    let _silent = world.host.run(|| UdpSocket::bind("127.0.0.8:53").unwrap());
    thread::scope(|scope| {
        let slow = scope.spawn(|| ask(&world, IPV4, "example.test.", RecordType::A));
        let start = std::time::Instant::now();
        assert_eq!(ask(&world, IPV4, "db.", RecordType::A), one("10.77.3.2"));
        assert!(start.elapsed() < std::time::Duration::from_millis(1000), "held up: {:?}", start.elapsed());
        assert_eq!(slow.join().unwrap(), one("192.0.2.80"));
    });
}

#[test]
fn without_resolvers_the_failure_is_told_at_once() {
    let world = World::new("");
    assert_eq!(ask(&world, IPV4, "db.", RecordType::A), one("10.77.3.2"));
    let start = std::time::Instant::now();
    assert_eq!(ask(&world, IPV4, "example.test.", RecordType::A), (vec![], ResponseCode::ServFail));
    assert!(start.elapsed() < std::time::Duration::from_millis(1000));
}
