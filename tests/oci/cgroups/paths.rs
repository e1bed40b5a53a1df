//! The forms of `cgroupsPath`, and what is found there before.

use crate::support::{Case, cgroup_v2, hierarchies, own_cgroup, remove_group, skip};

/// The paths of the container's first process in all hierarchies that are mounted: controllers and path.
fn joined(case: &Case) -> Vec<(String, String)> {
    let table = case.proc("cgroup");
    let mounted = |names: &str| {
        hierarchies().iter().any(|(own, _)| names.split(',').any(|name| own.iter().any(|own| own == name)))
            || (names.is_empty() && cgroup_v2())
    };
    table
        .lines()
        .filter_map(|line| line.split_once(':')?.1.split_once(':'))
        .filter(|(names, _)| mounted(names))
        .map(|(names, path)| (names.to_owned(), path.to_owned()))
        .collect()
}

#[test]
fn an_absolute_path_is_that_in_every_hierarchy() {
    let case = Case::idle();
    case.create().code(0);
    let joined = joined(&case);
    assert!(!joined.is_empty());
    for (names, path) in joined {
        assert_eq!(path, case.cgroup(), "{names}");
    }
}

#[test]
fn the_empty_hierarchy_of_a_hybrid_machine_is_joined_too() {
    let case = Case::idle();
    if cgroup_v2() || !std::path::Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists() {
        skip!("this machine is not hybrid");
    }
    case.create().code(0);
    let table = case.proc("cgroup");
    assert!(table.lines().any(|line| line == format!("0::{}", case.cgroup())), "{table}");
}

#[test]
fn the_program_is_there_when_it_begins() {
    let case = Case::sh("cat /proc/self/cgroup");
    let said = case.run().ok();
    assert!(said.lines().any(|line| line.ends_with(&case.cgroup())), "{said}");
}

/// Where the container is with a path of this form; it must end there, and nothing be left.
#[track_caller]
fn at(form: &str, expected: &str) {
    let mut case = Case::idle();
    let path = form.replace("ID", case.id());
    case.set("/linux/cgroupsPath", path);
    case.create().code(0);
    let joined = joined(&case);
    let expected = expected.replace("ID", case.id());
    let first =
        joined.iter().find(|(names, _)| names.contains("pids") || names.is_empty()).unwrap().1.clone();
    case.delete_force().code(0);
    let folder = crate::support::controller("pids", &first).unwrap();
    let left = folder.exists();
    remove_group(&format!("/parent-of-{}", case.id()));
    remove_group(&case.cgroup());
    assert_eq!((first, left), (expected, false));
}

macro_rules! forms {
    ($($name:ident: $form:literal => $expected:literal;)*) => {
        $(#[test]
        fn $name() {
            at($form, $expected);
        })*
    };
}

forms! {
    a_path_below_another: "/parent-of-ID/child" => "/parent-of-ID/child";
    a_deep_path: "/parent-of-ID/a/b/c" => "/parent-of-ID/a/b/c";
    doubled_slashes: "//parent-of-ID//child/" => "/parent-of-ID/child";
    a_path_that_goes_up_and_down: "/parent-of-ID/x/../child" => "/parent-of-ID/child";
    a_path_that_climbs_stays_below_the_top: "/../../../parent-of-ID/child" => "/parent-of-ID/child";
    dots_in_a_path: "/./parent-of-ID/./child" => "/parent-of-ID/child";
}

#[test]
fn a_relative_path_is_below_the_callers_own() {
    let mut case = Case::idle();
    let name = format!("relative-{}", case.id());
    case.set("/linux/cgroupsPath", name.clone());
    case.create().code(0);
    let joined = joined(&case);
    case.delete_force().code(0);
    for (names, path) in joined {
        let own = own_cgroup(names.split(',').next().unwrap());
        assert_eq!(path, format!("{}/{name}", own.trim_end_matches('/')), "{names}");
        assert!(!crate::support::controller(names.split(',').next().unwrap(), &path).unwrap().exists());
    }
}

#[test]
fn without_a_path_the_container_has_one_of_its_own() {
    let mut case = Case::idle();
    case.unset("/linux/cgroupsPath");
    case.create().code(0);
    let joined = joined(&case);
    case.delete_force().code(0);
    for (names, path) in joined {
        assert!(path.ends_with(case.id()), "{names}: {path}");
        assert!(!crate::support::controller(names.split(',').next().unwrap(), &path).unwrap().exists());
    }
}

#[test]
fn an_empty_group_that_is_there_is_taken() {
    let case = Case::idle();
    for (_, top) in hierarchies() {
        std::fs::create_dir(top.join(case.id())).unwrap();
    }
    case.create().code(0);
    case.delete_force().code(0);
    case.nothing_left();
}

#[test]
fn a_group_with_processes_in_it_is_refused() {
    let case = Case::idle();
    case.detached();
    let mut second = Case::idle();
    second.set("/linux/cgroupsPath", case.cgroup());
    let said = second.create().failed();
    assert!(said.err.contains("container's cgroup is not empty"), "{said}");
    assert_eq!(case.status(), "running");
}

#[test]
fn a_group_that_is_frozen_is_refused() {
    let case = Case::idle();
    let file = if cgroup_v2() { "cgroup.freeze" } else { "freezer.state" };
    let folder = crate::support::controller("freezer", &case.cgroup()).unwrap();
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(file), if cgroup_v2() { "1" } else { "FROZEN" }).unwrap();
    let said = case.create().failed();
    let _ = std::fs::write(folder.join(file), if cgroup_v2() { "0" } else { "THAWED" });
    remove_group(&case.cgroup());
    assert!(said.err.contains("container's cgroup unexpectedly frozen"), "{said}");
}

#[test]
fn a_create_that_fails_late_leaves_no_group() {
    let mut case = Case::idle();
    case.set("/process/args", ["/no/such/program"]);
    case.create().failed();
    case.nothing_left();
}

#[test]
fn delete_leaves_a_parent_that_was_there() {
    let mut case = Case::idle();
    let parent = format!("/parent-of-{}", case.id());
    for (_, top) in hierarchies() {
        std::fs::create_dir(top.join(parent.trim_start_matches('/'))).unwrap();
    }
    case.set("/linux/cgroupsPath", format!("{parent}/child"));
    case.create().code(0);
    case.delete_force().code(0);
    let folder = crate::support::controller("pids", &parent).unwrap();
    let there = folder.exists();
    let child = folder.join("child").exists();
    remove_group(&parent);
    assert_eq!((there, child), (true, false));
}
