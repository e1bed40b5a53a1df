//! What a container sees of its control groups: mounts of the kind `cgroup`.

use crate::support::{Case, cgroup_v2, mount_at, mounts, skip};

#[test]
fn the_own_group_is_seen() {
    let file = if cgroup_v2() { "/sys/fs/cgroup/cgroup.procs" } else { "/sys/fs/cgroup/pids/cgroup.procs" };
    let said = Case::sh(&format!("cat {file}")).run().ok();
    assert!(said.lines().any(|line| line == "1"), "{said}");
}

#[test]
fn every_hierarchy_of_the_host_is_there() {
    let mut case = Case::new();
    if cgroup_v2() {
        skip!("cgroup v2 has one hierarchy");
    }
    let table = case.table();
    for name in ["memory", "cpu", "cpuset", "pids", "devices", "freezer", "blkio", "systemd"] {
        if std::path::Path::new("/sys/fs/cgroup").join(name).exists() {
            mount_at(&table, &format!("/sys/fs/cgroup/{name}"));
        }
    }
}

#[test]
fn nothing_in_it_can_be_written() {
    let case = Case::sh(
        "mkdir /sys/fs/cgroup/x; mkdir /sys/fs/cgroup/pids/x; echo 5 > /sys/fs/cgroup/pids/pids.max; echo done",
    );
    let said = case.run();
    assert_eq!(
        (said.out.as_str(), said.err.matches("Read-only file system").count() >= 2),
        ("done\n", true),
        "{said}"
    );
}

#[test]
fn its_flags_hold() {
    let mut case = Case::new();
    let table = case.table();
    let point = if cgroup_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" };
    mount_at(&table, point).options(&["ro", "nosuid", "nodev", "noexec"]);
}

/// A case whose own control groups may be written.
fn open(script: &str) -> Case {
    let mut case = Case::sh(script);
    let list = case.config["mounts"].as_array_mut().unwrap();
    let mount = list.iter_mut().find(|mount| mount["destination"] == "/sys/fs/cgroup").unwrap();
    mount["options"] = serde_json::json!(["rw", "nosuid", "nodev", "noexec", "relatime"]);
    case
}

#[test]
fn one_that_is_writable_takes_groups_of_the_containers_own() {
    let base = if cgroup_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" };
    let case =
        open(&format!("mkdir {base}/own && echo 0 > {base}/own/cgroup.procs && cat /proc/self/cgroup"));
    let said = case.run().ok();
    assert!(said.contains("/own"), "{said}");
}

#[test]
fn a_namespace_of_its_own_shows_the_group_as_the_top() {
    let mut case = Case::sh("cat /proc/self/cgroup; cat /proc/self/mountinfo");
    case.namespace("cgroup", None);
    let said = case.run().ok();
    let groups: Vec<&str> = said.lines().take_while(|line| !line.contains(" - ")).collect();
    assert!(
        groups
            .iter()
            .filter(|line| line.contains("pids") || line.starts_with("0::"))
            .all(|line| line.ends_with(":/")),
        "{said}"
    );
    let point = if cgroup_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/pids" };
    assert_eq!(mount_at(&said, point).root, "/", "{said}");
}

#[test]
fn a_namespace_of_its_own_has_working_mounts() {
    let file = if cgroup_v2() { "/sys/fs/cgroup/cgroup.procs" } else { "/sys/fs/cgroup/pids/cgroup.procs" };
    let mut case = Case::sh(&format!("cat {file}; mkdir $(dirname {file})/x 2> /dev/null || echo closed"));
    case.namespace("cgroup", None);
    let said = case.run().ok();
    assert!(said.starts_with('1') && said.ends_with("closed"), "{said}");
}

#[test]
fn they_work_with_a_user_namespace() {
    let file = if cgroup_v2() { "/sys/fs/cgroup/cgroup.procs" } else { "/sys/fs/cgroup/pids/cgroup.procs" };
    let mut case = Case::sh(&format!("cat {file}"));
    case.user_namespace();
    assert!(case.run().ok().starts_with('1'));
}

#[test]
fn they_work_with_a_user_namespace_and_one_of_their_own() {
    let file = if cgroup_v2() { "/sys/fs/cgroup/cgroup.procs" } else { "/sys/fs/cgroup/pids/cgroup.procs" };
    let mut case = Case::sh(&format!("cat {file}"));
    case.user_namespace().namespace("cgroup", None);
    assert!(case.run().ok().starts_with('1'));
}

#[test]
fn they_work_after_a_bind_mount() {
    let mut case = Case::sh("ls /sys/fs/cgroup | wc -l; cat /mnt/file");
    let file = case.file("source/file");
    let mount = serde_json::json!({ "destination": "/mnt", "type": "bind", "source": file.parent().unwrap().to_str().unwrap(), "options": ["rbind"] });
    case.config["mounts"].as_array_mut().unwrap().insert(0, mount);
    assert!(case.run().ok().ends_with("source/file"));
}

#[test]
fn they_may_be_mounted_elsewhere() {
    let mut case = Case::sh("cat /mnt/pids/cgroup.procs /mnt/cgroup.procs 2> /dev/null | grep -c '^1$'");
    case.mount("/mnt", "cgroup", "cgroup", &["ro"]);
    assert_eq!(case.run().ok(), "1");
}

#[test]
fn without_the_mount_there_is_none() {
    let mut case = Case::new();
    case.config["mounts"].as_array_mut().unwrap().retain(|mount| mount["type"] != "cgroup");
    let table = case.table();
    assert!(mounts(&table).iter().all(|mount| !mount.kind.starts_with("cgroup")), "{table}");
}

#[test]
fn another_containers_group_is_not_seen() {
    let other = Case::idle();
    other.detached();
    let said = Case::sh(&format!("find /sys/fs/cgroup -name '*{}*' | wc -l", other.id())).run().ok();
    assert_eq!(said, "0");
}

#[test]
fn a_release_agent_cannot_be_written() {
    let mut case = Case::sh(
        "for agent in $(find /sys/fs/cgroup -name release_agent); do echo /bin/sh > $agent && echo $agent; done; mount -t cgroup -o pids none /tmp && echo mounted",
    );
    case.namespace("cgroup", None);
    let said = case.run();
    assert_eq!(said.out, "", "{said}");
}

#[test]
fn a_release_agent_cannot_be_written_with_all_rights_of_a_user_namespace() {
    let mut case = Case::sh(
        "mkdir /tmp/x; mount -t cgroup -o pids none /tmp/x && echo /bin/sh > /tmp/x/release_agent && echo written; for agent in $(find /sys/fs/cgroup -name release_agent); do echo x > $agent && echo $agent; done",
    );
    case.user_namespace().namespace("cgroup", None);
    for set in ["bounding", "effective", "permitted"] {
        for name in ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_MKNOD"] {
            case.set(&format!("/process/capabilities/{set}/-"), name);
        }
    }
    let said = case.run();
    assert!(!said.out.contains("written") && !said.out.contains("release_agent"), "{said}");
}
