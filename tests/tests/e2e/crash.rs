//! `kill -9` at every step: the next command finds and tidies what was left.
//!
//! The programs under test are built with the feature `failpoints`; `SAMPAN_FAILPOINT=name` makes the process that comes to
//! that place kill itself. The command hands the variable on to the shim.

use sampan_tests::{Said, Sandbox, eventually, failpoints};
use std::process::Command;

/// Runs `sampan` with a failpoint set.
fn killed_at(sandbox: &Sandbox, failpoint: &str, words: &[&str]) -> Said {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "120"]);
    let sampan = sandbox.command(words);
    command.arg(sampan.get_program()).args(sampan.get_args()).env("SAMPAN_FAILPOINT", failpoint);
    Said::of(&mut command)
}

/// After the crash: the next command works, the name is free again or its container can be removed, nothing is left.
fn assert_recovers(sandbox: &Sandbox, failpoint: &str) {
    let listed = sandbox.sampan("ps -a");
    assert_eq!(listed.code, 0, "after {failpoint}: {listed}");
    let removed = sandbox.sampan("rm -f box");
    assert_eq!(removed.code, 0, "after {failpoint}: {removed}");
    let again = sandbox.sampan("run --rm --name box busybox echo again");
    assert_eq!(again.out, "again\n", "after {failpoint}: {again}");
    assert_eq!(sandbox.sampan("ps -aq").ok(), "", "after {failpoint}");
    sampan_tests::assert_nothing_left(&sandbox.root(), sandbox.run_dir(), failpoint);
}

/// The failpoints of which the name begins so; at least one, or the test would test nothing.
fn beginning_with(prefixes: &[&str]) -> Vec<String> {
    let all = failpoints();
    let found: Vec<String> =
        all.iter().filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))).cloned().collect();
    assert!(!found.is_empty(), "no failpoint begins with {prefixes:?}: {all:?}");
    found
}

#[test]
fn every_failpoint_is_reached_by_one_of_these_tests() {
    let known = ["engine.create.", "engine.start.", "engine.tidy.", "engine.remove.", "shim."];
    for name in failpoints() {
        assert!(known.iter().any(|prefix| name.starts_with(prefix)), "no test reaches failpoint {name}");
    }
}

#[test]
fn killed_while_a_container_is_run_in_the_background() {
    let sandbox = Sandbox::new();
    for failpoint in beginning_with(&["engine.create.", "engine.start.", "shim."]) {
        killed_at(&sandbox, &failpoint, &["run", "-d", "--name", "box", "busybox", "sleep", "3600"]);
        assert_recovers(&sandbox, &failpoint);
    }
}

#[test]
fn killed_while_a_container_is_run_in_the_foreground() {
    let sandbox = Sandbox::new();
    for failpoint in failpoints() {
        killed_at(&sandbox, &failpoint, &["run", "--rm", "--name", "box", "busybox", "true"]);
        assert_recovers(&sandbox, &failpoint);
    }
}

#[test]
fn killed_while_a_container_is_started_again() {
    let sandbox = Sandbox::new();
    for failpoint in beginning_with(&["engine.start.", "shim."]) {
        sandbox.sampan("create --name box busybox sleep 3600").code(0);
        killed_at(&sandbox, &failpoint, &["start", "box"]);
        assert_recovers(&sandbox, &failpoint);
    }
}

#[test]
fn killed_while_a_container_is_stopped() {
    let sandbox = Sandbox::new();
    for failpoint in beginning_with(&["engine.tidy.", "shim."]) {
        // The shim is told of the failpoint when it starts; those of its end come into effect at the stop.
        killed_at(&sandbox, &failpoint, &["run", "-d", "--name", "box", "busybox", "sleep", "3600"]);
        killed_at(&sandbox, &failpoint, &["stop", "-t", "0", "box"]);
        assert_recovers(&sandbox, &failpoint);
    }
}

#[test]
fn killed_while_a_container_is_removed() {
    let sandbox = Sandbox::new();
    for failpoint in beginning_with(&["engine.remove.", "engine.tidy."]) {
        sandbox.sleeper("box", "");
        killed_at(&sandbox, &failpoint, &["rm", "-f", "box"]);
        assert_recovers(&sandbox, &failpoint);
    }
}

#[test]
fn the_address_is_free_again_after_a_crash() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("probe", "");
    let address = sandbox.address("probe");
    sandbox.sampan("rm -f probe").code(0);
    for failpoint in beginning_with(&["engine.create.", "engine.start."]) {
        let ip = ["run", "-d", "--name", "box", "--ip", &address, "busybox", "sleep", "9"];
        killed_at(&sandbox, &failpoint, &ip);
        sandbox.sampan("rm -f box").code(0);
        sandbox.words(&["run", "-d", "--name", "box", "--ip", &address, "busybox", "sleep", "9"]).code(0);
        assert_eq!(sandbox.address("box"), address, "after {failpoint}");
        sandbox.sampan("rm -f box").code(0);
    }
}

/// The shim of a sandbox's only container.
fn shim(sandbox: &Sandbox) -> i32 {
    let entry = std::fs::read_dir(sandbox.run_dir().join("shims")).unwrap().next().unwrap().unwrap();
    let name = entry.file_name().into_string().unwrap();
    name.split('-').next().unwrap().parse().unwrap()
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_killed_shim_takes_its_container_along() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("box", "");
    let init = sandbox.pid("box");
    kill(shim(&sandbox));
    eventually("the container's program is gone", || {
        !std::path::Path::new(&format!("/proc/{init}")).exists()
    });
    assert_eq!(sandbox.state("box"), "exited");
    sandbox.sampan("start box").code(0);
    assert_eq!(sandbox.state("box"), "running");
    sandbox.sampan("rm -f box").code(0);
    sampan_tests::assert_nothing_left(&sandbox.root(), sandbox.run_dir(), "kill -9 of the shim");
}

#[test]
fn a_killed_command_in_the_foreground_leaves_the_container_to_itself() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(["run", "--rm", "--name", "box", "busybox", "sleep", "3600"]);
    let mut child = command.spawn().unwrap();
    eventually("it runs", || sandbox.sampan("ps").out.contains("box"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(sandbox.state("box"), "running");
    sandbox.sampan("kill box").code(0);
    eventually("--rm is still kept", || sandbox.sampan("ps -aq").ok().is_empty());
}

#[test]
fn command_and_shim_killed_together_leave_nothing() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(["run", "--rm", "--name", "box", "busybox", "sleep", "3600"]);
    let mut child = command.spawn().unwrap();
    eventually("it runs", || sandbox.sampan("ps").out.contains("box"));
    let shim = shim(&sandbox);
    child.kill().unwrap();
    kill(shim);
    child.wait().unwrap();
    eventually("the next command has tidied", || sandbox.sampan("ps -q").ok().is_empty());
    assert_recovers(&sandbox, "kill -9 of both");
}

#[test]
fn killed_at_any_time_the_next_run_works() {
    let sandbox = Sandbox::new();
    // Not only where somebody thought of a failpoint: at every few milliseconds of a run.
    for step in 0..25 {
        let words = ["run", "--rm", "--name", "box", "busybox", "true"];
        let mut child = sandbox.command(words).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(step * 4));
        child.kill().unwrap();
        child.wait().unwrap();
        // A shim that was started in time goes on by itself.
        eventually("the name is free", || sandbox.sampan("rm -f box").code == 0);
        assert_eq!(
            sandbox.sampan("run --rm --name box busybox echo again").ok(),
            "again",
            "after {} ms",
            step * 4
        );
    }
}
