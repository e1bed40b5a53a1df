//! Containers with a terminal.

use crate::support::{Setup, eventually};
use sampan_types::{
    ErrorKind,
    task::{Reply, Request},
};
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
};

/// Reads until `end` has come.
fn read_until(stream: &mut UnixStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(end) {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the end came before {end:?}: {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    text
}

fn rest(stream: &mut UnixStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_terminal_echoes_and_is_raw_on_the_wire() {
    let mut setup = Setup::shell("tty; stty size; read x; echo \"got $x\"").terminal();
    setup.task.console_size = Some((33, 77));
    let mut shim = setup.create();
    let mut stream = shim.start_attached(true);
    let text = read_until(&mut stream, "33 77\r\n");
    assert!(text.starts_with("/dev/"), "{text:?}");
    stream.write_all(b"hello\n").unwrap();
    assert_eq!(rest(&mut stream), "hello\r\ngot hello\r\n");
    assert_eq!(shim.client.exit(None).code, 0);
    shim.ended();
    let logged: String = shim.log().into_iter().map(|(_, text)| text).collect();
    assert!(logged.ends_with("hello\r\ngot hello\r\n"), "{logged:?}");
}

#[test]
fn a_new_size_is_told_to_the_program() {
    let mut shim = Setup::shell("trap 'stty size; exit 0' WINCH; echo ready; while :; do usleep 1000; done")
        .terminal()
        .create();
    let mut stream = shim.start_attached(true);
    read_until(&mut stream, "ready\r\n");
    let reply = shim.client.ask(&Request::Resize { exec: None, rows: 50, cols: 132 });
    assert!(matches!(reply, Reply::Done), "{reply:?}");
    assert_eq!(rest(&mut stream), "50 132\r\n");
    assert_eq!(shim.client.exit(None).code, 0);
}

#[test]
fn without_a_terminal_there_is_no_size() {
    let mut shim = Setup::command(&["/bin/true"]).create();
    let failure = shim.client.refused(&Request::Resize { exec: None, rows: 1, cols: 1 });
    assert_eq!(failure.kind, ErrorKind::Conflict);
    assert!(failure.what.starts_with("cannot resize the terminal of container "), "{}", failure.what);
    assert_eq!(failure.causes, ["it has none"]);
}

#[test]
fn a_client_may_leave_and_another_one_come() {
    let mut shim = Setup::shell("read x; read y; echo \"$x and $y\"").terminal().create();
    let mut first = shim.start_attached(true);
    first.write_all(b"one\n").unwrap();
    read_until(&mut first, "one\r\n");
    first.shutdown(std::net::Shutdown::Write).unwrap();
    drop(first);
    let mut second = shim.connect().attach(true);
    second.write_all(b"two\n").unwrap();
    assert_eq!(rest(&mut second), "two\r\none and two\r\n");
}

#[test]
fn a_terminal_without_any_client_does_not_block() {
    let mut shim = Setup::shell("yes | head -c 500000").terminal().create();
    shim.start();
    assert_eq!(shim.client.exit(None).code, 0);
    shim.ended();
    let logged: usize = shim.log().iter().map(|(_, text)| text.len()).sum();
    assert_eq!(logged, 750_000);
}

#[test]
fn a_terminal_that_its_program_closes_costs_nothing() {
    let mut shim = Setup::shell("exec 0<&- 1>&- 2>&-; sleep 60").terminal().create();
    shim.start();
    let ticks = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", shim.pid)).unwrap();
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(ticks() - before < 5, "the shim is busy");
    eventually("still running", || shim.state().started_at.is_some());
}
