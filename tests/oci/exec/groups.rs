//! `exec --cgroup`.

use super::running;

#[test]
fn a_sub_group_can_be_given() {
    if crate::support::cgroup_v2() {
        crate::support::skip!("a control group of v2 with processes has none below it: needs v1");
    }
    let case = running();
    for (_, top) in crate::support::hierarchies() {
        let sub = top.join(case.id()).join("sub");
        let _ = std::fs::create_dir(&sub);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let _ = std::fs::read(sub.join("..").join(file))
                .and_then(|value| std::fs::write(sub.join(file), value));
        }
    }
    let said = case.exec_with(&["--cgroup", "sub"], &["cat", "/proc/self/cgroup"]).ok();
    let sub = said.lines().filter(|line| line.ends_with("/sub")).count();
    assert!(sub >= 6, "{said}");
}

#[test]
fn a_sub_group_of_one_controller_can_be_given() {
    if crate::support::cgroup_v2() {
        crate::support::skip!("v2 has one hierarchy for all: needs v1");
    }
    let case = running();
    let folder = crate::support::controller("pids", &case.cgroup()).unwrap().join("sub");
    std::fs::create_dir(folder).unwrap();
    let said = case.exec_with(&["--cgroup", "pids:sub"], &["cat", "/proc/self/cgroup"]).ok();
    let sub: Vec<&str> = said.lines().filter(|line| line.ends_with("/sub")).collect();
    assert_eq!(sub.len(), 1, "{said}");
    assert!(sub[0].contains(":pids:"), "{said}");
}

#[test]
fn a_sub_group_outside_the_container_is_refused() {
    let case = running();
    case.exec_with(&["--cgroup", "../../"], &["true"]).code(255);
    case.exec_with(&["--cgroup", "../"], &["true"]).failed().complains("sub cgroup path");
}

#[test]
fn a_sub_group_of_an_unknown_controller_is_refused() {
    if crate::support::cgroup_v2() {
        crate::support::skip!("v2 has no controllers by name here: needs v1");
    }
    let case = running();
    case.exec_with(&["--cgroup", "nosuch:sub"], &["true"]).failed().complains("unknown controller ");
}

#[test]
fn a_sub_group_that_is_not_there_is_refused() {
    let case = running();
    let said = case.exec_with(&["--cgroup", "nosub"], &["true"]).failed();
    assert!(said.err.contains("no such file or directory"), "{said}");
}
