//! `--memory`, `--cpus`, `--pids-limit`: what the kernel's control groups say.

use sampan_tests::{Sandbox, instance};
use std::path::{Path, PathBuf};

/// The control group of a container for one controller, in whichever layout this host has.
fn group(sandbox: &Sandbox, name: &str, controller: &str) -> PathBuf {
    let id = sandbox.inspect(name)["Id"].as_str().unwrap().to_owned();
    let below = Path::new(&instance(&sandbox.root())).join(id);
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let top =
        if unified { PathBuf::from("/sys/fs/cgroup") } else { Path::new("/sys/fs/cgroup").join(controller) };
    let path = top.join(below);
    assert!(path.is_dir(), "{} is missing", path.display());
    path
}

fn is_v2(group: &Path) -> bool {
    group.join("cgroup.controllers").exists()
}

fn read(group: &Path, file: &str) -> String {
    let path = group.join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.trim().to_owned()
}

#[test]
fn limits_stand_in_the_control_group() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("box", "--network none --memory 64m --cpus 1.5 --pids-limit 77");
    let memory = group(&sandbox, "box", "memory");
    let cpu = group(&sandbox, "box", "cpu");
    let pids = group(&sandbox, "box", "pids");
    assert_eq!(read(&pids, "pids.max"), "77");
    if is_v2(&memory) {
        assert_eq!(read(&memory, "memory.max"), (64 << 20).to_string());
        assert_eq!(read(&cpu, "cpu.max"), "150000 100000");
    } else {
        assert_eq!(read(&memory, "memory.limit_in_bytes"), (64 << 20).to_string());
        assert_eq!(read(&cpu, "cpu.cfs_quota_us"), "150000");
    }
}

#[test]
fn a_program_over_its_memory_is_killed() {
    let sandbox = Sandbox::new();
    let words = ["run", "--name", "fat", "--network", "none", "--memory", "16m", "busybox", "sh", "-c"];
    // tail keeps a line in memory until its end; this one never ends.
    let said = sandbox.words(&[&words[..], &["exec tail -n 1 /dev/zero"]].concat());
    assert_eq!(said.code, 137, "{said}");
    assert_eq!(sandbox.inspect("fat")["State"]["OOMKilled"], true);
}

#[test]
fn more_processes_than_allowed_cannot_be_made() {
    let sandbox = Sandbox::new();
    let line = "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait";
    let words = ["run", "--rm", "--network", "none", "--pids-limit", "5", "busybox", "sh", "-c", line];
    let said = sandbox.words(&words);
    assert!(said.err.contains("fork"), "{said}");
}

#[test]
fn the_container_sees_only_its_own_part_of_the_control_groups() {
    let sandbox = Sandbox::new();
    let groups = sandbox.sh("cat /proc/self/cgroup").ok();
    for line in groups.lines() {
        assert!(line.ends_with(":/"), "the path of the host's group is seen inside: {line}");
    }
}
