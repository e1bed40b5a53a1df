//! What the container was given is still so after a restore.

use super::{Scene, needs_criu};
use crate::support::{json, skip, within};

#[test]
fn masked_and_read_only_paths() {
    needs_criu!();
    let mut scene = Scene::counting();
    scene.case.set("/linux/maskedPaths", ["/proc/timer_list", "/sys/firmware", "/proc/scsi"]);
    scene.case.set("/root/readonly", true);
    scene.case.mount("/tmp", "bind", "rootfs/tmp", &["bind", "rw"]);
    scene.start_counting();
    scene.there_and_back();
    scene.goes_on(scene.count());
    assert_eq!(scene.case.exec_sh("cat /proc/timer_list; ls -A /sys/firmware").ok(), "");
    scene.case.exec_sh("touch /here").failed();
    scene.case.exec_sh("echo 1 > /proc/sys/kernel/panic").failed();
}

#[test]
fn another_users_process() {
    needs_criu!();
    if !has_resource_rights() {
        skip!("without CAP_SYS_RESOURCE the limits of another user's process cannot be read (prlimit(2))");
    }
    let mut scene = Scene::counting();
    scene.case.set("/process/user/uid", 1000).set("/process/user/gid", 1000);
    scene.case.set("/process/user/additionalGids", [50, 2000]);
    scene.start_counting();
    let before = facts(&scene);
    scene.there_and_back();
    scene.goes_on(scene.count());
    assert_eq!(facts(&scene), before);
}

#[test]
fn capabilities_and_groups() {
    needs_criu!();
    let mut scene = Scene::counting();
    scene.case.set("/process/user/additionalGids", [50, 2000]);
    scene.case.set("/process/capabilities/inheritable", ["CAP_KILL"]);
    scene.case.set("/process/capabilities/ambient", ["CAP_KILL"]);
    scene.start_counting();
    let before = facts(&scene);
    scene.there_and_back();
    scene.goes_on(scene.count());
    assert_eq!(facts(&scene), before);
}

/// What the kernel says of the rights of the first process.
fn facts(scene: &Scene) -> Vec<String> {
    let status = scene.case.proc("status");
    let wanted =
        ["Uid:", "Gid:", "Groups:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:"];
    let lines = status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
    lines.map(str::to_owned).collect()
}

fn has_resource_rights() -> bool {
    /// linux/capability.h
    const SYS_RESOURCE: u64 = 1 << 24;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap() & SYS_RESOURCE != 0
}

#[test]
fn a_filter_of_system_calls() {
    needs_criu!();
    let mut scene = Scene::counting();
    let rule = json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }]);
    scene.case.set("/linux/seccomp/defaultAction", "SCMP_ACT_ALLOW").set("/linux/seccomp/syscalls", rule);
    scene.start_counting();
    scene.there_and_back();
    scene.goes_on(scene.count());
    assert!(scene.case.proc("status").contains("Seccomp:\t2"));
    scene.case.exec(&["mkdir", "/tmp/x"]).failed();
}

#[test]
fn a_user_namespace() {
    needs_criu!();
    let mut scene = Scene::counting();
    scene.case.user_namespace();
    scene.start_counting();
    scene.there_and_back();
    scene.goes_on(scene.count());
    assert!(scene.case.proc("uid_map").split_whitespace().eq(["0", "100000", "65536"]));
    assert_eq!(scene.case.exec_sh("id -u; echo x > /dev/null; head -c 3 /dev/zero | wc -c").ok(), "0\n3");
}

#[test]
fn a_control_group_namespace() {
    needs_criu!();
    let mut scene = Scene::counting();
    scene.case.namespace("cgroup", None);
    scene.start_counting();
    scene.there_and_back();
    scene.goes_on(scene.count());
    let said = scene.case.exec(&["cat", "/proc/self/cgroup"]).ok();
    assert!(said.lines().all(|line| line.ends_with(":/")), "{said}");
}

#[test]
fn host_names_and_the_control_groups_mounts() {
    needs_criu!();
    let mut scene = Scene::counting();
    scene.case.set("/hostname", "saved");
    scene.start_counting();
    // Its own groups, in which there is at least the one who asks.
    let look = "hostname; ls /sys/fs/cgroup; mount | grep -c cgroup; grep -q . /sys/fs/cgroup/pids/cgroup.procs && echo own";
    let before = scene.case.exec_sh(look).ok();
    scene.there_and_back();
    assert_eq!(scene.case.exec_sh(look).ok(), before);
}

#[test]
fn limits_are_those_of_the_bundle() {
    needs_criu!();
    let mut scene = Scene::counting();
    scene.case.set("/linux/resources/pids/limit", 77);
    scene.start_counting();
    scene.checkpoint(&[]).code(0);
    scene.restore(&[]).code(0);
    assert_eq!(scene.case.cgroup_file("pids", "pids.max").as_deref(), Some("77"));
    scene.goes_on(scene.count());
}

#[test]
fn file_locks() {
    needs_criu!();
    let mut scene = Scene::counting();
    scene.case.with_probe("lock");
    scene.start();
    let lock = scene.case.rootfs("tmp/lock");
    let locked = || {
        let file = std::fs::File::open(&lock).ok()?;
        Some(file.try_lock().is_err())
    };
    within(10, "the file is locked", || locked().filter(|locked| *locked));
    scene.checkpoint(&[]).failed();
    assert_eq!(scene.case.status(), "running", "locks are not passed over in silence");
    scene.checkpoint(&["--file-locks"]).code(0);
    assert_eq!(locked(), Some(false));
    scene.restore(&["--file-locks"]).code(0);
    assert_eq!(locked(), Some(true));
}

#[test]
fn connections_inside() {
    needs_criu!();
    let script =
        "ip link set lo up; (nc -l -p 900 -e sh -c 'while read w; do echo got $w; done' &) ; sleep 0.3
        mkfifo /tmp/in; (nc 127.0.0.1 900 < /tmp/in > /tmp/out &); exec 3>/tmp/in; exec sleep 1000";
    let mut scene = Scene::sh(script);
    let all = json!(["CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_KILL"]);
    for set in ["bounding", "effective", "permitted"] {
        scene.case.set(&format!("/process/capabilities/{set}"), all.clone());
    }
    // The network is the affair of who made it.
    let up = "read state; pid=$(echo \"$state\" | sed 's/.*\"pid\"[: ]*\\([0-9]*\\).*/\\1/'); nsenter -t $pid -n ip link set lo up";
    scene.case.set(
        "/hooks/createRuntime",
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", up], "env": [path()] }]),
    );
    scene.start();
    let out = scene.case.rootfs("tmp/out");
    within(10, "the connection is there", || out.exists().then_some(()));
    scene.case.exec_sh("echo one > /tmp/in").code(0);
    let got = |word: &str| std::fs::read_to_string(&out).is_ok_and(|text| text.contains(word));
    within(10, "the first word", || got("got one").then_some(()));
    scene.checkpoint(&[]).failed();
    assert_eq!(scene.case.status(), "running");
    scene.checkpoint(&["--tcp-established"]).code(0);
    scene.restore(&["--tcp-established"]).code(0);
    assert_eq!(scene.case.status(), "running");
    scene.case.exec_sh("echo two > /tmp/in").code(0);
    within(10, "the second word", || got("got two").then_some(()));
}

fn path() -> String {
    format!("PATH={}", std::env::var("PATH").unwrap())
}
