//! `ps`, `logs`, `exec`, `stop`, `start`, `restart`, `kill`, `rm`, `inspect`, `images`, `rmi`.

use sampan_tests::{Sandbox, eventually};
use std::process::Stdio;
use std::time::Instant;

#[test]
fn ps_lists_what_runs_with_type_image_and_state() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("box", "--network none");
    let table = sandbox.sampan("ps").ok();
    let row = table.lines().find(|line| line.contains("box")).unwrap();
    for word in ["app", "busybox", "sleep 3600", "Up "] {
        assert!(row.contains(word), "{table}");
    }
    assert_eq!(sandbox.sampan("ps -q").ok().len(), 12);
    sandbox.sampan("kill box").code(0);
    sandbox.until_state("box", "exited");
    assert!(!sandbox.sampan("ps").ok().contains("box"));
    assert!(sandbox.sampan("ps -a").ok().contains("Exited (137)"));
}

#[test]
fn logs_keep_output_and_error_apart() {
    let sandbox = Sandbox::new();
    sandbox.words(&[
        "run",
        "--name",
        "talk",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        "echo out; echo err >&2",
    ]);
    let said = sandbox.sampan("logs talk").code(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("out\n", "err\n"));
}

#[test]
fn logs_f_follows_until_the_container_ends() {
    let sandbox = Sandbox::new();
    let line = "for i in 1 2 3; do echo line $i; sleep 0.3; done";
    sandbox.words(&["run", "-d", "--name", "talk", "--network", "none", "busybox", "sh", "-c", line]).code(0);
    assert_eq!(sandbox.sampan("logs -f talk").ok(), "line 1\nline 2\nline 3");
    assert_eq!(sandbox.sampan("logs --tail 1 talk").ok(), "line 3");
}

#[test]
fn exec_runs_in_the_container_with_its_own_environment() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("box", "--network none -e BASE=1 -w /tmp");
    let said = sandbox.words(&["exec", "-e", "MORE=2", "box", "sh", "-c", "echo $BASE $MORE; pwd; id -u"]);
    assert_eq!(said.ok(), "1 2\n/tmp\n0");
    assert_eq!(sandbox.sampan("exec -w /etc box pwd").ok(), "/etc");
    assert_eq!(sandbox.sampan("exec -u 1000:1001 box id -g").ok(), "1001");
    sandbox.words(&["exec", "box", "sh", "-c", "exit 33"]).code(33);
    sandbox.sampan("exec box no-such-program").code(127).complains("no-such-program");
    sandbox.sampan("exec box /etc/passwd").code(126).complains("/etc/passwd");
}

#[test]
fn exec_takes_part_in_every_namespace_and_the_control_group() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("box", "--network none");
    for namespace in ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"] {
        let line = format!("readlink /proc/1/ns/{namespace}; readlink /proc/self/ns/{namespace}");
        let both = sandbox.words(&["exec", "box", "sh", "-c", &line]).ok();
        let (init, own) = both.split_once('\n').unwrap();
        assert_eq!(init, own, "{namespace}");
        let host = std::fs::read_link(format!("/proc/self/ns/{namespace}")).unwrap();
        assert_ne!(own, host.to_string_lossy(), "{namespace} is not the host's");
    }
    let groups =
        sandbox.words(&["exec", "box", "sh", "-c", "cmp /proc/1/cgroup /proc/self/cgroup && echo same"]);
    assert_eq!(groups.ok(), "same");
}

#[test]
fn exec_passes_standard_input_on_with_i() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("box", "--network none");
    let mut child = sandbox
        .command(["exec", "-i", "box", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"through").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "through");
}

#[test]
fn stop_asks_first_and_kills_after_the_time() {
    let sandbox = Sandbox::new();
    let polite = "trap 'exit 4' TERM; while :; do sleep 0.1; done";
    sandbox
        .words(&["run", "-d", "--name", "polite", "--network", "none", "busybox", "sh", "-c", polite])
        .code(0);
    eventually("the trap is set", || {
        sandbox.sampan("exec polite grep SigCgt /proc/1/status").out.contains("4002")
    });
    sandbox.sampan("stop polite").code(0);
    assert_eq!(sandbox.inspect("polite")["State"]["ExitCode"], 4);

    // The first process of a container ignores SIGTERM unless it handles it.
    sandbox.sleeper("deaf", "--network none");
    let began = Instant::now();
    sandbox.sampan("stop -t 1 deaf").code(0);
    assert!(began.elapsed().as_secs_f64() >= 1.0, "{:?}", began.elapsed());
    assert_eq!(sandbox.inspect("deaf")["State"]["ExitCode"], 137);
    // Stopping what has stopped is no failure.
    sandbox.sampan("stop deaf").code(0);
}

#[test]
fn a_stopped_container_starts_again_with_its_files() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("box", "--network none");
    sandbox.words(&["exec", "box", "sh", "-c", "echo kept > /root/file"]).code(0);
    let before = sandbox.pid("box");
    sandbox.sampan("stop -t 0 box").code(0);
    assert_eq!(sandbox.state("box"), "exited");
    sandbox.sampan("start box").code(0);
    assert_eq!(sandbox.state("box"), "running");
    assert_ne!(sandbox.pid("box"), before);
    assert_eq!(sandbox.sampan("exec box cat /root/file").ok(), "kept");
    sandbox.sampan("restart -t 0 box").code(0);
    assert_eq!(sandbox.sampan("exec box cat /root/file").ok(), "kept");
}

#[test]
fn kill_sends_the_signal_that_is_named() {
    let sandbox = Sandbox::new();
    let line = "trap 'echo one' USR1; trap 'exit 6' HUP; echo ready; while :; do sleep 0.1; done";
    sandbox.words(&["run", "-d", "--name", "box", "--network", "none", "busybox", "sh", "-c", line]).code(0);
    eventually("the traps are set", || sandbox.sampan("logs box").out.contains("ready"));
    sandbox.sampan("kill -s USR1 box").code(0);
    eventually("the signal has arrived", || sandbox.sampan("logs box").out.contains("one"));
    assert_eq!(sandbox.state("box"), "running");
    sandbox.sampan("kill -s SIGHUP box").code(0);
    sandbox.until_state("box", "exited");
    assert_eq!(sandbox.inspect("box")["State"]["ExitCode"], 6);
}

#[test]
fn rm_refuses_what_runs_unless_forced() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("box", "--network none");
    sandbox.sampan("rm box").failed().error("box", "run", "rm -f");
    sandbox.sampan("rm -f box").code(0);
    assert_eq!(sandbox.sampan("ps -aq").ok(), "");
    sandbox.sampan("rm box").failed().error("box", "", "ps -a");
}

#[test]
fn inspect_says_what_dockers_does() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("box", "--network none --memory 64m --cpus 0.5 --pids-limit 99 --hostname here");
    let details = sandbox.inspect("box");
    assert_eq!(details["Name"], "/box");
    assert_eq!(details["Type"], "app");
    assert_eq!(details["State"]["Running"], true);
    assert_eq!(details["Config"]["Hostname"], "here");
    assert_eq!(details["HostConfig"]["Memory"], 64 << 20);
    assert_eq!(details["HostConfig"]["NanoCpus"], 500_000_000);
    assert_eq!(details["HostConfig"]["PidsLimit"], 99);
    assert_eq!(details["HostConfig"]["NetworkMode"], "none");
    sandbox.sampan("inspect nobody").failed().error("nobody", "", "");
}

#[test]
fn images_are_listed_and_removed_when_nothing_uses_them() {
    let sandbox = Sandbox::new();
    assert!(sandbox.sampan("images").ok().contains("busybox"));
    sandbox.sleeper("box", "--network none");
    sandbox.sampan("rmi busybox").failed().error("cannot remove image", "container box", "sampan rm box");
    sandbox.sampan("rm -f box").code(0);
    sandbox.sampan("rmi busybox").code(0);
    assert!(!sandbox.sampan("images").ok().contains("busybox"));
    sandbox.sampan("run --rm busybox true").code(125);
}

#[test]
fn a_created_container_waits_for_start() {
    let sandbox = Sandbox::new();
    sandbox.sampan("create --name box --network none busybox sh -c pwd").code(0);
    assert_eq!(sandbox.state("box"), "created");
    sandbox.sampan("start box").code(0);
    eventually("it has run", || sandbox.sampan("logs box").out == "/\n");
}

#[test]
fn wait_gives_the_exit_code() {
    let sandbox = Sandbox::new();
    let words =
        ["run", "-d", "--name", "box", "--network", "none", "busybox", "sh", "-c", "sleep 0.5; exit 12"];
    sandbox.words(&words).code(0);
    assert_eq!(sandbox.sampan("wait box").ok(), "12");
}

#[test]
fn many_commands_at_once_do_not_disturb_each_other() {
    let sandbox = Sandbox::new();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let sandbox = &sandbox;
            scope.spawn(move || {
                let name = format!("c{number}");
                sandbox.sleeper(&name, "");
                assert_eq!(sandbox.words(&["exec", &name, "echo", &name]).ok(), name);
                sandbox.words(&["rm", "-f", &name]).code(0);
            });
        }
    });
    assert_eq!(sandbox.sampan("ps -aq").ok(), "");
}
