//! Attaching: conmon's socket carries the container's streams.

use super::Conmon;
use crate::support::{Case, within};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketType, connect, recv, send, shutdown,
    socket,
};
use std::os::fd::OwnedFd;

/// A client at a container's streams.
struct Client(OwnedFd);

impl Client {
    #[track_caller]
    fn of(case: &Case) -> Self {
        let path = case.bundle().join("attach");
        within(10, "the socket to attach to", || {
            let socket = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
            let address = SocketAddrUnix::new(&path).unwrap();
            connect(&socket, &address).ok().map(|()| Self(socket))
        })
    }

    fn send(&self, text: &str) {
        send(&self.0, text.as_bytes(), SendFlags::NOSIGNAL).expect("the container takes input");
    }

    fn close_input(&self) {
        shutdown(&self.0, Shutdown::Write).unwrap();
    }

    /// What comes until the end, or until a text has come: each packet is a stream's number (2 output, 3 errors) and bytes.
    fn until(&self, text: &str) -> (String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        let mut buffer = [0; 16 * 1024];
        loop {
            let count = match recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Ok((count @ 1.., _)) => count,
                _ => return (out, err),
            };
            let part = String::from_utf8_lossy(&buffer[1..count]);
            if buffer[0] == 3 {
                err += &part
            } else {
                out += &part
            }
            if !text.is_empty() && (out.contains(text) || err.contains(text)) {
                return (out, err);
            }
        }
    }
}

#[test]
fn a_client_sees_both_streams() {
    let case = Case::sh("echo out; echo err >&2");
    let conmon = Conmon::of(&case);
    let (pid, _) = conmon.begin(&[]);
    assert!(pid > 0);
    let client = Client::of(&case);
    case.start().code(0);
    let (out, err) = client.until("");
    assert_eq!((out.as_str(), err.as_str()), ("out\n", "err\n"));
}

#[test]
fn a_client_that_comes_late_sees_what_comes_later() {
    let case = Case::sh("echo early; while [ ! -e /go ]; do sleep 0.02; done; echo late");
    let conmon = Conmon::of(&case);
    conmon.run(&[]);
    within(10, "the early line", || (!conmon.log().is_empty()).then_some(()));
    let client = Client::of(&case);
    std::thread::sleep(std::time::Duration::from_millis(50));
    std::fs::write(case.rootfs("go"), "").unwrap();
    assert_eq!(client.until("").0, "late\n");
}

#[test]
fn input_of_a_client_reaches_the_program() {
    let case = Case::sh("read line; echo got $line");
    let conmon = Conmon::of(&case);
    let (pid, _) = conmon.begin(&["--stdin"]);
    assert!(pid > 0);
    let client = Client::of(&case);
    case.start().code(0);
    client.send("hello\n");
    assert_eq!(client.until("").0, "got hello\n");
    assert_eq!(conmon.exit(), "0");
}

#[test]
fn the_end_of_a_clients_input_is_the_programs() {
    let case = Case::sh("cat; echo ended");
    let conmon = Conmon::of(&case);
    let (pid, _) = conmon.begin(&["--stdin"]);
    assert!(pid > 0);
    let client = Client::of(&case);
    case.start().code(0);
    client.send("text\n");
    client.close_input();
    assert_eq!(client.until("").0, "text\nended\n");
}

#[test]
fn input_stays_open_for_the_next_client_when_told_so() {
    let case = Case::sh("read first; echo $first; read second; echo $second");
    let conmon = Conmon::of(&case);
    let (pid, _) = conmon.begin(&["--stdin", "--leave-stdin-open"]);
    assert!(pid > 0);
    let client = Client::of(&case);
    case.start().code(0);
    client.send("one\n");
    client.until("one");
    drop(client);
    let client = Client::of(&case);
    client.send("two\n");
    assert_eq!(client.until("").0, "two\n");
}

#[test]
fn two_clients_see_the_same() {
    let case = Case::sh("echo for both");
    let conmon = Conmon::of(&case);
    let (pid, _) = conmon.begin(&[]);
    assert!(pid > 0);
    let clients = [Client::of(&case), Client::of(&case)];
    std::thread::sleep(std::time::Duration::from_millis(50));
    case.start().code(0);
    for client in clients {
        assert_eq!(client.until("").0, "for both\n");
    }
}

#[test]
fn a_client_at_a_terminal_types_and_sees() {
    let mut case = Case::sh("read line; echo got $line");
    case.set("/process/terminal", true);
    let conmon = Conmon::of(&case);
    let (pid, _) = conmon.begin(&["--terminal", "--stdin"]);
    assert!(pid > 0);
    let client = Client::of(&case);
    case.start().code(0);
    client.send("hello\n");
    assert!(client.until("got hello").0.contains("got hello"));
}

#[test]
fn the_window_can_be_resized_through_the_control_pipe() {
    let mut case = Case::sh("trap 'stty size; exit 0' WINCH; echo up; while :; do sleep 0.05; done");
    case.set("/process/terminal", true);
    let conmon = Conmon::of(&case);
    let (pid, _) = conmon.begin(&["--terminal"]);
    assert!(pid > 0);
    let client = Client::of(&case);
    case.start().code(0);
    client.until("up");
    let control = case.bundle().join("winsz");
    std::fs::write(control, "34 87\n").unwrap();
    assert!(client.until("34 87").0.contains("34 87"));
}
