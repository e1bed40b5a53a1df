//! More processes in a container.

use crate::support::{Setup, Shim, eventually, is_alive, process, read_all};
use rustix::pipe::{PipeFlags, pipe_with};
use sampan_types::{
    ErrorKind,
    spec::ConsoleSize,
    task::{Reply, Request},
};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
};

fn sleeper() -> Shim {
    let mut shim = Setup::command(&["/bin/sleep", "60"]).create();
    shim.start();
    shim
}

fn pipe() -> (OwnedFd, OwnedFd) {
    pipe_with(PipeFlags::CLOEXEC).unwrap()
}

#[test]
fn it_has_the_clients_own_streams() {
    let mut shim = sleeper();
    let (stdin, to_stdin) = pipe();
    let (from_stdout, stdout) = pipe();
    let (from_stderr, stderr) = pipe();
    let script = "cat; echo err >&2; readlink /proc/self/ns/pid; exit 7";
    let (exec, identity, fds) = shim
        .client
        .exec(process(&["/bin/sh", "-c", script]), &[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]);
    assert!(fds.is_empty());
    drop((stdin, stdout, stderr));
    assert!(is_alive(identity));
    let init = shim.state().init.pid;
    let namespace = std::fs::read_link(format!("/proc/{init}/ns/pid")).unwrap();
    File::from(to_stdin).write_all(b"in\n").unwrap();
    assert_eq!(read_all(from_stdout), format!("in\n{}\n", namespace.display()));
    assert_eq!(read_all(from_stderr), "err\n");
    let exit = shim.client.exit(Some(exec));
    assert_eq!(exit.code, 7);
    assert!(exit.started_at.is_some());
    assert!(shim.log().is_empty(), "an exec's output is no matter of the log");
}

#[test]
fn it_may_have_a_terminal_of_its_own() {
    let mut shim = sleeper();
    let mut shell = process(&["/bin/sh", "-c", "tty; stty size; read x; stty size; echo \"got $x\"; exit 4"]);
    shell.terminal = true;
    shell.console_size = Some(ConsoleSize { height: 20, width: 60 });
    let (exec, _, mut fds) = shim.client.exec(shell, &[]);
    let mut terminal = File::from(fds.remove(0));
    let mut text = String::new();
    let mut buffer = [0; 256];
    while !text.contains("20 60\r\n") {
        let count = terminal.read(&mut buffer).unwrap();
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    assert!(text.starts_with("/dev/pts/"), "{text:?}");
    let reply = shim.client.ask(&Request::Resize { exec: Some(exec), rows: 21, cols: 61 });
    assert!(matches!(reply, Reply::Done), "{reply:?}");
    terminal.write_all(b"hi\n").unwrap();
    let mut rest = String::new();
    while let Ok(count @ 1..) = terminal.read(&mut buffer) {
        rest.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    assert_eq!(rest, "hi\r\n21 61\r\ngot hi\r\n");
    assert_eq!(shim.client.exit(Some(exec)).code, 4);
}

#[test]
fn a_terminal_whose_client_has_gone_does_not_block_it() {
    let mut shim = sleeper();
    let mut shell = process(&["/bin/sh", "-c", "trap '' HUP; yes | head -c 500000; touch /written"]);
    shell.terminal = true;
    let mut other = shim.connect();
    let (_, _, terminal) = other.exec(shell, &[]);
    drop((terminal, other));
    let marker = shim.run.path().join("rootfs/written");
    eventually("the process has written all", || marker.exists());
    assert!(matches!(shim.client.ask(&Request::State), Reply::State(_)));
}

#[test]
fn a_signal_reaches_it_alone() {
    let mut shim = sleeper();
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    let (exec, ..) = shim.client.exec(process(&["/bin/sleep", "60"]), &[null.as_fd(); 3]);
    let reply = shim.client.ask(&Request::Signal { signal: 15, exec: Some(exec) });
    assert!(matches!(reply, Reply::Done), "{reply:?}");
    assert_eq!(shim.client.exit(Some(exec)).code, 143);
    let failure = shim.client.refused(&Request::Signal { signal: 15, exec: Some(exec) });
    assert_eq!((failure.kind, failure.causes), (ErrorKind::Conflict, vec!["it has ended".to_owned()]));
    assert!(is_alive(shim.state().init));
}

#[test]
fn it_ends_with_init() {
    let mut shim = sleeper();
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    let (exec, ..) = shim.client.exec(process(&["/bin/sleep", "60"]), &[null.as_fd(); 3]);
    shim.client.ask(&Request::Signal { signal: 9, exec: None });
    assert_eq!(shim.client.exit(Some(exec)).code, 137);
    assert_eq!(shim.client.exit(None).code, 137);
    assert_eq!(shim.ended(), 0);
}

#[test]
fn what_cannot_be_executed_has_dockers_code() {
    let mut shim = sleeper();
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    for (program, kind, code) in
        [("/bin/nothing", ErrorKind::CommandNotFound, 127), ("/bin/plain", ErrorKind::NotExecutable, 126)]
    {
        shim.client.send(&Request::Exec { process: Box::new(process(&[program])) }, &[null.as_fd(); 3]);
        let (Reply::Failed(failure), _) = shim.client.reply() else { panic!("{program} runs") };
        assert_eq!((failure.kind, failure.kind.exit_code()), (kind, code), "{failure:?}");
        assert!(failure.what.contains(program), "{failure:?}");
    }
}

#[test]
fn without_streams_it_is_refused() {
    let mut shim = sleeper();
    let failure = shim.client.refused(&Request::Exec { process: Box::new(process(&["/bin/true"])) });
    assert_eq!(failure.what, "cannot run a process without standard streams");
    assert_eq!(failure.causes, ["0 descriptors came along, three are needed"]);
}
