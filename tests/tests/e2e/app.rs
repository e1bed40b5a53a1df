//! `sampan run`: one program in a container.

use sampan_tests::{Sandbox, eventually};
use std::io::Write as _;
use std::process::Stdio;

#[test]
fn the_output_and_error_of_the_program_are_the_commands() {
    let sandbox = Sandbox::new();
    let said = sandbox.sh("echo to output; echo to error >&2").code(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("to output\n", "to error\n"));
}

#[test]
fn the_exit_code_is_the_programs() {
    let sandbox = Sandbox::new();
    sandbox.sh("exit 0").code(0);
    sandbox.sh("exit 1").code(1);
    sandbox.sh("exit 42").code(42);
    sandbox.sh("exit 255").code(255);
}

#[test]
fn a_program_killed_by_a_signal_gives_128_and_its_number() {
    let sandbox = Sandbox::new();
    // PID 1 does not die of signals it sends itself; its child does.
    sandbox.sh("sh -c 'kill -TERM $$'; exit $?").code(128 + 15);
    sandbox.sleeper("victim", "--network none");
    sandbox.sampan("kill victim").code(0);
    sandbox.until_state("victim", "exited");
    assert_eq!(sandbox.inspect("victim")["State"]["ExitCode"], 137);
}

#[test]
fn a_missing_program_gives_127_and_one_that_cannot_be_executed_126() {
    let sandbox = Sandbox::new();
    sandbox.sampan("run --rm --network none busybox no-such-program").code(127).complains("no-such-program");
    sandbox
        .sampan("run --rm --network none busybox /no/such/program")
        .code(127)
        .complains("/no/such/program");
    sandbox.sampan("run --rm --network none busybox /etc/passwd").code(126).complains("/etc/passwd");
    sandbox.sampan("run --rm --network none busybox /etc").code(126).complains("/etc");
}

#[test]
fn words_the_command_does_not_know_give_125() {
    let sandbox = Sandbox::new();
    sandbox.sampan("run --no-such-option busybox").code(125).complains("--no-such-option");
}

#[test]
fn rm_removes_the_container_when_it_ends() {
    let sandbox = Sandbox::new();
    sandbox.sampan("run --rm --name short --network none busybox true").code(0);
    assert_eq!(sandbox.sampan("ps -aq").ok(), "");
    sandbox.sampan("run -d --rm --name detached --network none busybox true").code(0);
    eventually("the detached container is removed", || sandbox.sampan("ps -aq").ok().is_empty());
}

#[test]
fn without_rm_the_container_stays() {
    let sandbox = Sandbox::new();
    sandbox.sampan("run --name kept --network none busybox true").code(0);
    assert_eq!(sandbox.state("kept"), "exited");
    assert!(sandbox.sampan("ps").ok().lines().count() == 1, "an ended container is not listed without -a");
    assert!(sandbox.sampan("ps -a").ok().contains("kept"));
}

#[test]
fn a_detached_run_prints_the_id_at_once() {
    let sandbox = Sandbox::new();
    let id = sandbox.sampan("run -d --name box --network none busybox sleep 3600").ok();
    assert_eq!(id.len(), 64, "{id}");
    assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert_eq!(sandbox.inspect("box")["Id"], id.as_str());
    assert_eq!(sandbox.state(&id[..12]), "running");
}

#[test]
fn a_container_without_a_name_gets_one() {
    let sandbox = Sandbox::new();
    let id = sandbox.sampan("run -d --network none busybox true").ok();
    let name = sandbox.inspect(&id)["Name"].as_str().unwrap().trim_start_matches('/').to_owned();
    assert!(!name.is_empty() && name != id, "{name}");
    assert_eq!(sandbox.inspect(&name)["Id"], id.as_str());
}

#[test]
fn the_environment_is_the_images_and_what_is_given() {
    let sandbox = Sandbox::new();
    let said = sandbox
        .command(["run", "--rm", "--network", "none", "-e", "A=one two", "-e", "FROM_HERE", "-e", "NOT_SET"])
        .args(["busybox", "env"])
        .env("FROM_HERE", "yes")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.contains(&"A=one two"), "{text}");
    assert!(lines.contains(&"FROM_HERE=yes"), "{text}");
    assert!(!text.contains("NOT_SET"), "{text}");
    assert!(lines.iter().any(|line| line.starts_with("PATH=") && line.contains("/bin")), "{text}");
    assert!(lines.iter().any(|line| line.starts_with("HOME=/root")), "{text}");
    assert!(!text.contains("CARGO"), "nothing of the caller's environment leaks in: {text}");
}

#[test]
fn the_working_directory_is_made_where_it_is_missing() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.sampan("run --rm --network none -w /deep/down busybox pwd").ok(), "/deep/down");
    assert_eq!(sandbox.sampan("run --rm --network none busybox pwd").ok(), "/");
}

#[test]
fn users_are_named_by_the_images_own_files() {
    let sandbox = Sandbox::new();
    let id = |user: &str| {
        let said = sandbox.words(&["run", "--rm", "--network", "none", "-u", user, "busybox", "id", "-u"]);
        let group = sandbox.words(&["run", "--rm", "--network", "none", "-u", user, "busybox", "id", "-g"]);
        (said.ok(), group.ok())
    };
    assert_eq!(id("0"), ("0".into(), "0".into()));
    assert_eq!(id("nobody").0, "65534");
    assert_eq!(id("1234:5678"), ("1234".into(), "5678".into()));
    sandbox.sampan("run --rm --network none -u somebody busybox id").code(125).complains("somebody");
}

#[test]
fn the_host_name_is_the_short_id_or_what_is_given() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.sampan("run --rm --network none --hostname here busybox hostname").ok(), "here");
    let id = sandbox.sampan("run -d --name box --network none busybox hostname").ok();
    sandbox.until_state("box", "exited");
    eventually("the log is written", || sandbox.sampan("logs box").ok() == id[..12]);
}

#[test]
fn the_entrypoint_can_be_replaced() {
    let sandbox = Sandbox::new();
    let said = sandbox.words(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        "/bin/echo",
        "busybox",
        "a",
        "b",
    ]);
    assert_eq!(said.ok(), "a b");
}

#[test]
fn the_containers_options_end_at_the_image() {
    let sandbox = Sandbox::new();
    let said = sandbox.sampan("run --rm --network none busybox echo -e --rm --name x");
    assert_eq!(said.ok(), "--rm --name x");
}

#[test]
fn standard_input_is_passed_on_with_i_only() {
    let sandbox = Sandbox::new();
    let feed = |options: &[&str]| {
        let words = [&["run", "--rm", "--network", "none"], options, &["busybox", "wc", "-c"]].concat();
        let mut child = sandbox.command(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Without -i nobody reads.
        let _ = child.stdin.take().unwrap().write_all(&[b'x'; 200_000]);
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    };
    assert_eq!(feed(&["-i"]), "200000");
    assert_eq!(feed(&[]), "0");
}

#[test]
fn a_large_output_arrives_whole() {
    let sandbox = Sandbox::new();
    let said = sandbox.sh("dd if=/dev/zero bs=1024 count=4096 2>/dev/null | tr '\\0' x").code(0);
    assert_eq!(said.out.len(), 4096 * 1024);
}

#[test]
fn a_signal_to_the_command_reaches_the_program() {
    let sandbox = Sandbox::new();
    let words = ["run", "--name", "trap", "--network", "none", "busybox", "sh", "-c"];
    let mut command = sandbox.command(words);
    command.arg("trap 'echo caught; exit 7' USR1; echo ready; while :; do sleep 0.1; done");
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    eventually("the program is ready", || sandbox.sampan("logs trap").out.contains("ready"));
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("caught\n"));
}

#[test]
fn a_debian_image_runs_its_own_programs() {
    let sandbox = Sandbox::debian();
    let release = sandbox.sampan("run --rm --network none debian cat /etc/os-release").ok();
    assert!(release.contains("ID=debian"), "{release}");
    let version = sandbox.sampan("run --rm --network none debian dpkg --version").ok();
    assert!(version.contains("Debian"), "{version}");
}

#[test]
fn writes_of_one_container_are_seen_by_no_other() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("one", "--network none");
    sandbox.sleeper("two", "--network none");
    sandbox.words(&["exec", "one", "sh", "-c", "echo mine > /etc/own && rm /bin/vi"]).code(0);
    sandbox.sampan("exec two test -e /etc/own").code(1);
    sandbox.sampan("exec two test -e /bin/vi").code(0);
    sandbox.sh("test -e /bin/vi && ! test -e /etc/own").code(0);
}
