//! `run`: the program's output and exit code are the container's.

use crate::support::{Case, ConsoleSocket};
use std::process::Stdio;

#[test]
fn output_and_exit_code_are_the_programs() {
    let said = Case::sh("echo out; echo err >&2; exit 7").run().code(7);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("out\n", "err\n"), "{said}");
}

#[test]
fn a_signal_that_ends_the_program_is_in_the_exit_code() {
    let mut case = Case::sh("kill -KILL $$");
    // The first process of a pid namespace is deaf to its own signals.
    case.without_namespace("pid");
    case.run().code(137);
}

#[test]
fn standard_input_reaches_the_program() {
    use std::io::Write as _;
    let case = Case::sh("read line; echo got $line > /got");
    let mut command = case.bundled("run", &[]);
    let mut child = case.spawn({
        command.stdin(Stdio::piped());
        command
    });
    child.stdin.take().unwrap().write_all(b"hello\n").unwrap();
    assert_eq!(case.reap(&mut child), 0);
    assert_eq!(case.appears("/got"), "got hello\n");
}

#[test]
fn a_detached_container_outlives_the_call() {
    let case = Case::idle();
    case.detached();
    assert_eq!(case.status(), "running");
    case.kill("KILL").code(0);
    case.becomes("stopped");
    case.delete().code(0);
    case.nothing_left();
}

#[test]
fn a_detached_terminal_is_given_through_the_console_socket() {
    let mut case = Case::sh("tty; stty size; read line; echo got $line");
    case.set("/process/terminal", true);
    case.set("/process/consoleSize/height", 31).set("/process/consoleSize/width", 77);
    let socket = ConsoleSocket::bind(&case.base().join("console"));
    case.run_with(&["--detach", "--console-socket", socket.word()]).code(0);
    let (mut console, _) = socket.master();
    assert!(console.until("31 77").contains("/dev/pts/0"));
    console.send("hello\n");
    assert!(console.rest().contains("got hello"));
}
