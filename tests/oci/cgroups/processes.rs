//! Who is in a container's control groups, when it is paused, killed and deleted.

use crate::support::{Case, cgroup_v2, controller, hierarchies, within};
use std::time::Duration;

/// A container that writes the time into a file as fast as it can.
fn beating() -> Case {
    let case = Case::sh("while :; do date +%s%N > /beat; done");
    case.detached();
    case.appears("/beat");
    case
}

/// Whether the file changes within a moment.
fn beats(case: &Case) -> bool {
    let read = || std::fs::read_to_string(case.rootfs("beat")).unwrap_or_default();
    let before = read();
    (0..15).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        let now = read();
        !now.is_empty() && now != before
    })
}

#[test]
fn a_paused_container_stands_still_and_goes_on() {
    let case = beating();
    case.call(&["pause", case.id()]).code(0);
    // What was under way when it was frozen is over.
    std::thread::sleep(Duration::from_millis(30));
    assert!(!beats(&case));
    case.call(&["resume", case.id()]).code(0);
    assert!(within(5, "it goes on", || beats(&case).then_some(true)));
}

#[test]
fn the_kernel_says_that_it_is_frozen() {
    let case = beating();
    case.call(&["pause", case.id()]).code(0);
    let (file, word) = if cgroup_v2() { ("cgroup.freeze", "1") } else { ("freezer.state", "FROZEN") };
    assert_eq!(case.cgroup_file("freezer", file).unwrap(), word);
    case.call(&["resume", case.id()]).code(0);
    let word = if cgroup_v2() { "0" } else { "THAWED" };
    assert_eq!(case.cgroup_file("freezer", file).unwrap(), word);
}

#[test]
fn pausing_twice_is_refused_or_changes_nothing() {
    let case = beating();
    case.call(&["pause", case.id()]).code(0);
    let _ = case.call(&["pause", case.id()]);
    assert_eq!(case.status(), "paused");
}

#[test]
fn many_pauses_and_resumes() {
    let case = beating();
    for _ in 0..10 {
        case.call(&["pause", case.id()]).code(0);
        assert_eq!(case.status(), "paused");
        case.call(&["resume", case.id()]).code(0);
        assert_eq!(case.status(), "running");
    }
}

#[test]
fn many_processes_are_paused_together() {
    let case = Case::sh("for n in 1 2 3 4 5 6 7 8; do (while :; do date +%s%N > /beat; done) & done; wait");
    case.detached();
    case.appears("/beat");
    case.call(&["pause", case.id()]).code(0);
    std::thread::sleep(Duration::from_millis(30));
    assert!(!beats(&case));
}

#[test]
fn a_container_frozen_from_outside_is_paused() {
    let case = beating();
    let folder = controller("freezer", &case.cgroup()).unwrap();
    let (file, word) = if cgroup_v2() { ("cgroup.freeze", "1") } else { ("freezer.state", "FROZEN") };
    std::fs::write(folder.join(file), word).unwrap();
    case.becomes("paused");
    case.call(&["resume", case.id()]).code(0);
    assert_eq!(case.status(), "running");
}

#[test]
fn the_words_about_exec_in_a_paused_container() {
    let case = beating();
    case.call(&["pause", case.id()]).code(0);
    case.exec(&["true"]).code(255).complains("cannot exec in a paused container");
}

#[test]
fn a_paused_container_can_be_deleted_by_force_with_all_its_processes() {
    let case = Case::sh("sleep 1000 & sleep 1000 & wait");
    case.detached();
    case.call(&["pause", case.id()]).code(0);
    case.delete_force().code(0);
    case.nothing_left();
}

#[test]
fn a_paused_container_that_is_killed_ends() {
    let case = beating();
    case.call(&["pause", case.id()]).code(0);
    case.kill("KILL").code(0);
    case.becomes("stopped");
}

/// A container in the host's pid namespace, with processes that outlive its first.
fn leaving() -> Case {
    let mut case = Case::sh("sleep 1000 & sleep 1000 & sleep 1000 & exit 0");
    case.without_namespace("pid");
    case.detached();
    case.becomes("stopped");
    case
}

#[test]
fn processes_that_outlive_the_first_are_deleted_by_force() {
    let case = leaving();
    case.delete_force().code(0);
    case.nothing_left();
}

#[test]
fn processes_that_outlive_the_first_are_reached_by_kill_all() {
    let case = leaving();
    case.call(&["kill", "--all", case.id(), "KILL"]).code(0);
    within(10, "the group is empty", || case.cgroup_file("pids", "cgroup.procs").filter(String::is_empty));
    case.delete().code(0);
    case.nothing_left();
}

#[test]
fn processes_that_fork_all_the_time_are_killed_to_the_last() {
    let mut case = Case::sh("while :; do (sleep 1; :) & sleep 0.01; done");
    case.without_namespace("pid").set("/linux/resources/pids/limit", 64);
    case.detached();
    std::thread::sleep(Duration::from_millis(100));
    case.delete_force().code(0);
    case.nothing_left();
}

#[test]
fn groups_that_the_container_made_below_are_deleted_with_their_processes() {
    let mut case = Case::idle();
    let list = case.config["mounts"].as_array_mut().unwrap();
    let mount = list.iter_mut().find(|mount| mount["destination"] == "/sys/fs/cgroup").unwrap();
    mount["options"] = serde_json::json!(["rw"]);
    case.detached();
    let base = if cgroup_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" };
    case.exec_sh(&format!(
        "mkdir -p {base}/a/b {base}/c && (sleep 1000 & echo $! > {base}/a/b/cgroup.procs) > /dev/null 2>&1"
    ))
    .code(0);
    case.delete_force().code(0);
    case.nothing_left();
}

#[test]
fn groups_below_of_the_hosts_pid_namespace_are_killed_too() {
    let mut case = Case::idle();
    case.without_namespace("pid");
    case.detached();
    super::sub::below(&case, "below");
    let mut child = std::process::Command::new("sleep")
        .arg("1000")
        // Whoever reads what the suite says must not wait for it, should this case fail.
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    for (_, top) in hierarchies() {
        std::fs::write(top.join(case.id()).join("below/cgroup.procs"), child.id().to_string()).unwrap();
    }
    let said = case.delete_force();
    let ended = call_ended(&mut child);
    said.code(0);
    assert!(ended, "the process below lives on");
    case.nothing_left();
}

/// Whether a child has ended or does so soon; it is ended in any case.
fn call_ended(child: &mut std::process::Child) -> bool {
    for _ in 0..100 {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}
