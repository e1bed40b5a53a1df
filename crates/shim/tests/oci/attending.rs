//! `run` and `exec` in the foreground.

use crate::support::{Bundle, until};
use rustix::process::{Pid, Signal, kill_process};
use std::process::Child;

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

#[test]
fn signals_are_passed_on_and_the_code_comes_back() {
    let bundle = Bundle::shell(
        "trap 'echo usr1 > /tmp/got' USR1; trap 'exit 7' TERM; touch /tmp/ready; while :; do usleep 10000; done",
    );
    let mut child = bundle.command(&["run", "$ID"]).spawn().unwrap();
    until("the program runs", || bundle.inside("tmp/ready").exists());
    kill_process(pid(&child), Signal::USR1).unwrap();
    until("the signal arrives", || bundle.inside("tmp/got").exists());
    kill_process(pid(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7));
    assert_eq!(bundle.status(), "", "it is removed at its end");
}

#[test]
fn exec_passes_signals_on_too() {
    let bundle = Bundle::shell("sleep 1000");
    bundle.succeeds(&["run", "-d", "$ID"]);
    let script = "trap 'exit 9' INT; touch /tmp/ready; while :; do usleep 10000; done";
    let mut child = bundle.command(&["exec", "$ID", "sh", "-c", script]).spawn().unwrap();
    until("the program runs", || bundle.inside("tmp/ready").exists());
    kill_process(pid(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(9));
    assert_eq!(bundle.status(), "running");
}

#[test]
fn orphans_of_a_container_are_reaped() {
    // In the host's process namespace, what outlives its parent comes to the runtime.
    let mut bundle =
        Bundle::shell("sh -c 'usleep 50000 & exec true'; touch /tmp/ready; read line < /tmp/fifo");
    let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "pid");
    let fifo = bundle.inside("tmp/fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let mut child = bundle.command(&["run", "$ID"]).spawn().unwrap();
    until("the program runs", || bundle.inside("tmp/ready").exists());
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    until("only the first process is left", || {
        std::fs::read_to_string(&children).unwrap().split_whitespace().count() == 1
    });
    std::fs::write(&fifo, "\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_kept_container_is_there_after_its_end() {
    let bundle = Bundle::shell("exit 3");
    assert_eq!(bundle.call(&["run", "--keep", "$ID"]).0, 3);
    assert_eq!(bundle.status(), "stopped");
    bundle.succeeds(&["delete", "$ID"]);
}

#[test]
fn the_runtime_runs_from_a_file_that_cannot_be_written() {
    let bundle = Bundle::shell("touch /tmp/ready; sleep 1000");
    // A file of its own, under the name by which it is a runtime: the one that all tests run is always busy.
    let program = bundle.base.path().join("sampan-runc");
    std::fs::copy(env!("CARGO_BIN_EXE_sampan-shim"), &program).unwrap();
    let inner = bundle.command(&["run", "$ID"]);
    let mut command = std::process::Command::new(&program);
    command.args(inner.get_args().skip(1)).current_dir(bundle.base.path());
    let mut child = command.spawn().unwrap();
    until("the program runs", || bundle.inside("tmp/ready").exists());
    let program = std::fs::File::open(format!("/proc/{}/exe", child.id())).unwrap();
    bundle.succeeds(&["kill", "$ID", "KILL"]);
    assert_eq!(child.wait().unwrap().code(), Some(137));
    // Now that no process runs it any more, it is not busy; what remains is that its mount is read-only.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&program));
    let error = std::fs::File::options().write(true).open(path).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::ROFS.raw_os_error()), "{error}");
}
