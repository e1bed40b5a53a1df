//! `exec --cgroup`: groups below the container's own.

use crate::support::{Case, cgroup_v2, controller, hierarchies, skip};

/// A running container with a group of this name below its own, in all hierarchies.
fn running(name: &str) -> Case {
    let case = Case::idle();
    case.detached();
    below(&case, name);
    case
}

/// Makes a group below the container's own in all hierarchies, ready for processes.
pub(super) fn below(case: &Case, name: &str) {
    for (_, top) in hierarchies() {
        let parent = top.join(case.id());
        let folder = parent.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        // Version 1 gives a new group no processor.
        for file in ["cpuset.cpus", "cpuset.mems"].iter().filter(|_| !cgroup_v2()) {
            if let Ok(text) = std::fs::read(parent.join(file)) {
                std::fs::write(folder.join(file), text).unwrap();
            }
        }
    }
}

#[test]
fn a_group_below_in_every_hierarchy() {
    let case = running("below");
    let said = case.exec_with(&["--cgroup", "below"], &["cat", "/proc/self/cgroup"]).ok();
    let own = format!("{}/below", case.cgroup());
    assert!(said.lines().filter(|line| line.ends_with(&own)).count() >= hierarchies().len().min(3), "{said}");
    assert!(!said.lines().any(|line| line.ends_with(&case.cgroup())), "{said}");
}

#[test]
fn a_group_below_in_one_hierarchy() {
    if cgroup_v2() {
        skip!("cgroup v2 has one hierarchy");
    }
    let case = running("below");
    let said = case.exec_with(&["--cgroup", "pids:below"], &["cat", "/proc/self/cgroup"]).ok();
    let of = |name: &str| said.lines().find(|line| line.contains(&format!(":{name}:"))).unwrap().to_owned();
    assert!(of("pids").ends_with(&format!("{}/below", case.cgroup())), "{said}");
    assert!(of("memory").ends_with(&case.cgroup()), "{said}");
}

#[test]
fn groups_below_in_two_hierarchies() {
    if cgroup_v2() {
        skip!("cgroup v2 has one hierarchy");
    }
    let case = running("below");
    let said = case.exec_with(&["--cgroup", "cpu,pids:below"], &["cat", "/proc/self/cgroup"]).ok();
    let own = format!("{}/below", case.cgroup());
    assert_eq!(said.lines().filter(|line| line.ends_with(&own)).count(), 2, "{said}");
}

#[test]
fn different_groups_in_two_hierarchies() {
    if cgroup_v2() {
        skip!("cgroup v2 has one hierarchy");
    }
    let case = running("below");
    std::fs::create_dir(controller("cpu", &case.cgroup()).unwrap().join("other")).unwrap();
    let said = case
        .exec_with(&["--cgroup", "pids:below", "--cgroup", "cpu:other"], &["cat", "/proc/self/cgroup"])
        .ok();
    assert!(said.contains(&format!(":pids:{}/below", case.cgroup())), "{said}");
    assert!(said.contains(&format!(":cpu:{}/other", case.cgroup())), "{said}");
}

#[test]
fn the_containers_own_by_a_slash() {
    let case = running("below");
    let said = case.exec_with(&["--cgroup", "/"], &["cat", "/proc/self/cgroup"]).ok();
    assert!(said.lines().any(|line| line.ends_with(&case.cgroup())), "{said}");
}

#[test]
fn a_path_with_a_slash_is_below_too() {
    let case = running("below");
    let said = case.exec_with(&["--cgroup", "/below"], &["cat", "/proc/self/cgroup"]).ok();
    assert!(said.contains(&format!("{}/below", case.cgroup())), "{said}");
}

#[track_caller]
fn refused(word: &str, complaint: &str) {
    let case = running("below");
    let said = case.exec_with(&["--cgroup", word], &["true"]).code(255);
    assert!(said.err.contains(complaint), "{said}");
    assert_eq!(case.status(), "running");
}

#[test]
fn a_path_that_climbs_is_refused() {
    refused("../other", "bad sub cgroup path");
}

#[test]
fn a_path_that_climbs_later_is_refused() {
    refused("below/../../other", "bad sub cgroup path");
}

#[test]
fn a_group_that_is_not_there_is_refused() {
    refused("nothing", "no such file or directory");
}

#[test]
fn an_unknown_controller_is_refused() {
    if cgroup_v2() {
        skip!("cgroup v2 has no controllers of their own");
    }
    refused("nonsense:below", "unknown controller ");
}

#[test]
fn a_failed_exec_leaves_no_process() {
    let case = running("below");
    case.exec_with(&["--cgroup", "nothing"], &["sleep", "1000"]).code(255);
    let procs = case.cgroup_file("pids", "cgroup.procs").unwrap();
    assert_eq!(procs.lines().count(), 1, "{procs}");
}

#[test]
fn delete_takes_the_group_below_with_its_processes() {
    let case = running("below");
    case.exec_with(&["--detach", "--cgroup", "below"], &["sleep", "1000"]).code(0);
    case.delete_force().code(0);
    case.nothing_left();
}

#[test]
fn pause_holds_the_group_below() {
    let case = running("below");
    case.exec_with(
        &["--detach", "--pid-file", &case.path("pid"), "--cgroup", "below"],
        &["sh", "-c", "while :; do date +%s%N > /beat; done"],
    )
    .code(0);
    case.appears("/beat");
    case.call(&["pause", case.id()]).code(0);
    let beat = || std::fs::read_to_string(case.rootfs("beat")).unwrap();
    let before = beat();
    std::thread::sleep(std::time::Duration::from_millis(150));
    let after = beat();
    case.call(&["resume", case.id()]).code(0);
    assert_eq!(before, after);
}

#[test]
fn kill_all_reaches_the_group_below() {
    let mut case = Case::idle();
    case.without_namespace("pid");
    case.detached();
    below(&case, "below");
    case.exec_with(&["--detach", "--pid-file", &case.path("pid"), "--cgroup", "below"], &["sleep", "1000"])
        .code(0);
    case.call(&["kill", "--all", case.id(), "KILL"]).code(0);
    let pid = std::fs::read_to_string(case.base().join("pid")).unwrap();
    crate::support::within(10, "the process below ends", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z")).then_some(())
    });
}
