//! Sockets of the caller: for descriptors of processes, and for readiness.

use crate::support::{Case, ConsoleSocket, json, within};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;

/// The pid that a process descriptor stands for, as /proc tells (pidfd_open(2)).
fn pid_of(descriptor: &OwnedFd) -> i64 {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd())).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Pid:"))
        .unwrap_or_else(|| panic!("no process: {text}"));
    line.trim().parse().unwrap()
}

#[test]
fn create_sends_a_descriptor_of_the_first_process() {
    let case = Case::idle();
    let socket = ConsoleSocket::bind(&case.base().join("pidfd"));
    case.create_with(&["--pidfd-socket", socket.word()]).code(0);
    let (descriptors, _) = socket.receive();
    assert_eq!(descriptors.len(), 1);
    assert_eq!(pid_of(&descriptors[0]), case.pid());
}

#[test]
fn run_sends_a_descriptor_of_the_first_process() {
    let case = Case::idle();
    let socket = ConsoleSocket::bind(&case.base().join("pidfd"));
    case.run_with(&["--detach", "--pidfd-socket", socket.word()]).code(0);
    assert_eq!(pid_of(&socket.receive().0[0]), case.pid());
}

#[test]
fn exec_sends_a_descriptor_of_its_process() {
    let case = Case::idle();
    case.detached();
    let socket = ConsoleSocket::bind(&case.base().join("pidfd"));
    let options = ["--detach", "--pid-file", &case.path("pid"), "--pidfd-socket", socket.word()];
    case.exec_with(&options, &["sleep", "989"]).code(0);
    let expected: i64 = std::fs::read_to_string(case.path("pid")).unwrap().parse().unwrap();
    assert_eq!(pid_of(&socket.receive().0[0]), expected);
}

#[test]
fn the_descriptor_tells_of_the_end() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let case = Case::idle();
    let socket = ConsoleSocket::bind(&case.base().join("pidfd"));
    case.create_with(&["--pidfd-socket", socket.word()]).code(0);
    let (descriptors, _) = socket.receive();
    case.kill("KILL").code(0);
    let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(&descriptors[0], PollFlags::IN)], Some(&limit)), Ok(1));
}

#[test]
fn a_socket_for_descriptors_that_is_not_there_fails_and_leaves_nothing() {
    let case = Case::idle();
    case.create_with(&["--pidfd-socket", "/no/such/socket"]).failed();
    case.nothing_left();
}

/// A case with a socket for readiness, and the call that has it in its environment.
fn with_readiness(script: &str) -> (Case, UnixDatagram) {
    let case = Case::sh(script);
    let socket = UnixDatagram::bind(case.base().join("notify")).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    (case, socket)
}

#[test]
fn a_socket_for_readiness_is_offered_to_the_program() {
    let (case, _socket) = with_readiness(
        "[ -S \"$NOTIFY_SOCKET\" ] && echo socket > /seen || echo \"none: $NOTIFY_SOCKET\" > /seen",
    );
    let mut command = case.bundled("run", &[]);
    command.env("NOTIFY_SOCKET", case.path("notify")).stdout(std::process::Stdio::null());
    let mut child = case.spawn(command);
    let seen = within(10, "the program looks", || Some(case.appears("seen")).filter(|text| !text.is_empty()));
    // What waits for readiness that never comes may end late.
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(seen, "socket\n");
}

#[test]
fn readiness_of_the_program_is_passed_on() {
    let (mut case, socket) = with_readiness("true");
    // A shell of busybox sends no datagrams.
    case.with_probe("ready");
    let mut command = case.bundled("run", &["--detach"]);
    command
        .env("NOTIFY_SOCKET", case.path("notify"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut child = case.spawn(command);
    let mut buffer = [0; 4096];
    let mut all = String::new();
    while !all.contains("READY=1") {
        let count = socket.recv(&mut buffer).expect("word of readiness");
        all += &String::from_utf8_lossy(&buffer[..count]);
        all.push('\n');
    }
    case.reap(&mut child);
}

#[test]
fn without_a_socket_for_readiness_the_program_has_none() {
    assert_eq!(Case::sh("echo ${NOTIFY_SOCKET:-none}").run().ok(), "none");
}

#[test]
fn a_socket_of_the_configuration_stays() {
    let mut case = Case::sh("echo $NOTIFY_SOCKET");
    case.set("/process/env/-", "NOTIFY_SOCKET=/of/the/configuration");
    assert_eq!(case.run().ok(), "/of/the/configuration");
}

#[test]
fn a_user_namespace_does_not_keep_the_descriptor_from_coming() {
    let mut case = Case::idle();
    case.user_namespace().set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let socket = ConsoleSocket::bind(&case.base().join("pidfd"));
    case.create_with(&["--pidfd-socket", socket.word()]).code(0);
    assert_eq!(pid_of(&socket.receive().0[0]), case.pid());
}
