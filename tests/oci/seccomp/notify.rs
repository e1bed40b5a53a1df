//! SCMP_ACT_NOTIFY: calls that an agent of the caller answers.

use super::{MKDIR, architectures};
use crate::support::{Case, ConsoleSocket, Value, json, receive};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

/// A case whose `mkdir` is answered by the agent at this socket.
fn notifying(script: &str, socket: Option<&str>) -> Case {
    let mut case = Case::sh(script);
    let mut filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures(), "listenerMetadata": "some metadata",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" }]
    });
    if let Some(socket) = socket {
        filter["listenerPath"] = socket.into();
    }
    case.set("/linux/seccomp", filter);
    case
}

/// A case and the socket of its agent.
fn with_agent(script: &str) -> (Case, ConsoleSocket) {
    let mut case = notifying(script, None);
    let socket = ConsoleSocket::bind(&case.base().join("agent"));
    case.set("/linux/seccomp/listenerPath", socket.word());
    (case, socket)
}

/// Starts it, output to a file; gives the call, which waits for the container.
fn begin(case: &Case) -> Child {
    let mut command = case.bundled("run", &[]);
    let out = std::fs::File::create(case.path("out")).unwrap();
    command.stdout(out.try_clone().unwrap()).stderr(out);
    case.spawn(command)
}

/// What the agent is told, and the descriptor that it answers at.
fn told(socket: &ConsoleSocket) -> (Value, OwnedFd) {
    let stream = socket.accept();
    let (mut descriptors, bytes) = receive(&stream);
    assert_eq!(descriptors.len(), 1);
    let state = serde_json::from_slice(&bytes)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&bytes)));
    (state, descriptors.remove(0))
}

/// Answers all calls (seccomp_unotify(2)) in a process of its own, which ends with the container: with an error number, or by letting them go on.
/// Perl, since an ioctl needs `unsafe` here.
fn answer(descriptor: OwnedFd, error: i32) -> Child {
    let script = r#"my $error = shift;
        while (1) {
            my $call = "\0" x 80;
            unless (ioctl(STDIN, 0xc0502100, $call)) { next if $!{ENOENT} || $!{EINTR}; last }
            my ($id) = unpack("Q", $call);
            my $reply = $error ? pack("QqlL", $id, 0, -$error, 0) : pack("QqlL", $id, 0, 0, 1);
            ioctl(STDIN, 0xc0182101, $reply);
        }"#;
    Command::new("perl")
        .args(["-e", script, &error.to_string()])
        .stdin(Stdio::from(descriptor))
        .spawn()
        .expect("perl can be run")
}

fn end(mut agent: Child) {
    let _ = agent.kill();
    let _ = agent.wait();
}

fn output(case: &Case) -> String {
    std::fs::read_to_string(case.path("out")).unwrap()
}

#[test]
fn the_agent_answers_with_an_error() {
    let (case, socket) = with_agent(MKDIR);
    let mut run = begin(&case);
    let (_, descriptor) = told(&socket);
    let agent = answer(descriptor, 28);
    assert_eq!(case.reap(&mut run), 0);
    end(agent);
    assert!(output(&case).contains("No space left"), "{}", output(&case));
}

#[test]
fn the_agent_lets_the_call_go_on() {
    let (case, socket) = with_agent(MKDIR);
    let mut run = begin(&case);
    let (_, descriptor) = told(&socket);
    let agent = answer(descriptor, 0);
    assert_eq!(case.reap(&mut run), 0);
    end(agent);
    assert!(output(&case).contains("code 0") && case.rootfs("made").is_dir(), "{}", output(&case));
}

#[test]
fn the_agent_is_told_of_the_container() {
    let (mut case, socket) = with_agent(MKDIR);
    case.set("/annotations/org.example", "annotated");
    let mut run = begin(&case);
    let (state, descriptor) = told(&socket);
    drop(descriptor);
    case.reap(&mut run);
    assert!(state["ociVersion"].is_string(), "{state}");
    assert_eq!(state["fds"], json!(["seccompFd"]), "{state}");
    assert_eq!(state["metadata"], "some metadata", "{state}");
    assert!(state["pid"].as_i64().is_some_and(|pid| pid > 1), "{state}");
    assert_eq!(state["state"]["id"], case.id(), "{state}");
    assert_eq!(state["state"]["bundle"], case.path("bundle"), "{state}");
    assert_eq!(state["state"]["annotations"]["org.example"], "annotated", "{state}");
}

#[test]
fn the_agent_is_told_that_the_container_is_being_created() {
    let (case, socket) = with_agent("true");
    let mut run = begin(&case);
    let (state, descriptor) = told(&socket);
    drop(descriptor);
    case.reap(&mut run);
    assert_eq!(state["state"]["status"], "creating", "{state}");
    assert!(state["pid"] == state["state"]["pid"], "{state}");
}

#[test]
fn the_agent_is_told_at_create() {
    let (case, socket) = with_agent("true");
    let mut command = case.bundled("create", &[]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut create = case.spawn(command);
    let (state, descriptor) = told(&socket);
    assert_eq!(case.reap(&mut create), 0);
    assert_eq!(state["pid"], case.pid());
    case.start().code(0);
    drop(descriptor);
}

#[test]
fn the_agent_is_told_of_an_exec() {
    let (mut case, socket) = with_agent("true");
    case.set("/process/args", ["sleep", "1000"]);
    let mut command = case.bundled("run", &["--detach"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = case.spawn(command);
    let (first, kept) = told(&socket);
    assert_eq!(case.reap(&mut run), 0);
    let mut command = case.command(&["exec", case.id(), "sh", "-c", MKDIR]);
    let out = std::fs::File::create(case.path("out")).unwrap();
    command.stdout(out.try_clone().unwrap()).stderr(out);
    let mut exec = case.spawn(command);
    let (second, descriptor) = told(&socket);
    let agent = answer(descriptor, 28);
    assert_eq!(case.reap(&mut exec), 0);
    end(agent);
    drop(kept);
    assert!(output(&case).contains("No space left"), "{}", output(&case));
    assert_eq!(second["state"]["status"], "running", "{second}");
    assert_ne!(first["pid"], second["pid"]);
    assert_eq!(first["state"]["pid"], second["state"]["pid"], "{second}");
}

#[test]
fn when_the_agent_dies_the_call_is_not_implemented() {
    let (case, socket) = with_agent(MKDIR);
    let mut run = begin(&case);
    drop(told(&socket));
    assert_eq!(case.reap(&mut run), 0);
    assert!(output(&case).contains("not implemented"), "{}", output(&case));
}

#[test]
fn without_an_agent_it_does_not_start() {
    let case = notifying(MKDIR, Some("/no/such/agent"));
    let said = case.create().failed();
    assert!(said.err.contains("/no/such/agent"), "{said}");
    case.nothing_left();
}

#[test]
fn the_words_of_a_missing_agent() {
    let case = notifying(MKDIR, Some("/no/such/agent"));
    case.create().failed().complains("failed to connect with seccomp agent");
}

#[test]
fn without_the_path_of_an_agent_it_is_refused() {
    let case = notifying(MKDIR, None);
    case.create().failed();
    case.nothing_left();
}

#[test]
fn a_path_without_the_action_is_passed_over() {
    let mut case = Case::sh(MKDIR);
    case.set(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/no/such/agent",
            "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }]
        }),
    );
    case.run().code(0).complains("Operation not permitted");
}

#[test]
fn it_cannot_be_the_default() {
    let (mut case, _socket) = with_agent(MKDIR);
    case.set("/linux/seccomp/defaultAction", "SCMP_ACT_NOTIFY");
    case.create().failed();
    case.nothing_left();
}

#[test]
fn it_cannot_be_used_for_write() {
    let (mut case, _socket) = with_agent(MKDIR);
    case.set("/linux/seccomp/syscalls/0/names", json!(["write"]));
    case.create().failed().complains("SCMP_ACT_NOTIFY cannot be used for the write syscall");
    case.nothing_left();
}

#[test]
fn a_killable_wait_may_be_asked_for() {
    let (mut case, socket) = with_agent(MKDIR);
    case.set("/linux/seccomp/flags", json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]));
    let mut run = begin(&case);
    let (_, descriptor) = told(&socket);
    let agent = answer(descriptor, 28);
    assert_eq!(case.reap(&mut run), 0);
    end(agent);
    assert!(output(&case).contains("No space left"), "{}", output(&case));
}

/// Calls that a runtime itself makes while it starts, answered by the agent: it must not wait for itself.
#[test]
fn calls_of_the_start_may_be_notified() {
    let (mut case, socket) = with_agent("echo started");
    case.set(
        "/linux/seccomp/syscalls/0/names",
        json!(["open", "openat", "read", "close", "fcntl", "execve"]),
    );
    let mut run = begin(&case);
    let (_, descriptor) = told(&socket);
    let agent = answer(descriptor, 0);
    let code = case.reap(&mut run);
    end(agent);
    assert_eq!((code, output(&case).as_str()), (0, "started\n"));
}
