//! What a container may not do, by default.

use sampan_tests::Sandbox;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Inside 0 → outside.
fn host_root(sandbox: &Sandbox, name: &str) -> u32 {
    let map = std::fs::read_to_string(format!("/proc/{}/uid_map", sandbox.pid(name))).unwrap();
    let words: Vec<u32> = map.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert_eq!((words[0], words.len()), (0, 3), "one range from 0: {map}");
    assert!(words[2] >= 65_536, "{map}");
    words[1]
}

fn status(sandbox: &Sandbox, field: &str) -> String {
    let line = sandbox.sh(&format!("grep ^{field}: /proc/self/status")).ok();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn each_container_has_a_range_of_ids_of_its_own() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("one", "--network none");
    sandbox.sleeper("two", "--network none");
    let (one, two) = (host_root(&sandbox, "one"), host_root(&sandbox, "two"));
    assert!(one >= 65_536 && two >= 65_536 && one.abs_diff(two) >= 65_536, "{one} {two}");
    let owner = std::fs::metadata(format!("/proc/{}", sandbox.pid("one"))).unwrap().uid();
    assert_eq!(owner, one, "its processes are not root outside");
    assert_eq!(sandbox.sampan("exec one id -u").ok(), "0");
}

#[test]
fn on_disk_the_owners_are_those_inside() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("box", "--network none");
    let line = "touch /of-root && touch /of-user && chown 1000:1001 /of-user && stat -c %u /bin/busybox";
    assert_eq!(sandbox.words(&["exec", "box", "sh", "-c", line]).ok(), "0");
    let find = |name: &str| find(&sandbox.root().join("snapshots"), name).unwrap();
    let owners = |path: PathBuf| {
        let entry = std::fs::metadata(path).unwrap();
        (entry.uid(), entry.gid())
    };
    assert_eq!(owners(find("of-root")), (0, 0));
    assert_eq!(owners(find("of-user")), (1000, 1001));
    let line = "stat -c %u:%g /of-user";
    assert_eq!(sandbox.words(&["exec", "box", "sh", "-c", line]).ok(), "1000:1001");
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        if entry.file_name() == name {
            return Some(entry.path());
        }
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && let Some(found) = find(&entry.path(), name) {
            return Some(found);
        }
    }
    None
}

#[test]
fn system_calls_are_filtered() {
    let sandbox = Sandbox::new();
    assert_eq!(status(&sandbox, "Seccomp"), "2", "SECCOMP_MODE_FILTER, see proc(5)");
    assert_eq!(status(&sandbox, "NoNewPrivs"), "0", "as Docker has it: set-user-ID programs work inside");
}

#[test]
fn capabilities_are_dockers_and_no_more() {
    let sandbox = Sandbox::new();
    // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP
    const DOCKERS: &str = "00000000a80425fb";
    assert_eq!(status(&sandbox, "CapEff"), DOCKERS);
    assert_eq!(status(&sandbox, "CapBnd"), DOCKERS);
    let user = sandbox.sampan("run --rm --network none -u 1000 busybox grep ^CapEff /proc/self/status").ok();
    assert!(user.ends_with("0000000000000000"), "{user}");
}

#[test]
fn paths_that_tell_of_or_steer_the_host_are_masked() {
    let sandbox = Sandbox::new();
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list"] {
        if Path::new(path).exists() {
            assert_eq!(sandbox.sh(&format!("wc -c < {path}")).ok(), "0", "{path}");
        }
    }
    for path in ["/proc/sysrq-trigger", "/proc/sys/kernel/panic", "/proc/bus", "/proc/irq"] {
        let said = sandbox.sh(&format!("test -d {path} && path={path}/x || path={path}; echo 1 > $path"));
        assert_ne!(said.code, 0, "{path}: {said}");
    }
    assert_eq!(sandbox.sh("ls /sys/firmware | wc -l").ok(), "0");
    assert_ne!(sandbox.sh("mkdir /sys/fs/cgroup/x || echo 1 > /sys/kernel/mm/ksm/run").code, 0);
}

#[test]
fn mounts_and_devices_cannot_be_made() {
    let sandbox = Sandbox::new();
    assert_ne!(sandbox.sh("mount -t tmpfs none /mnt").code, 0);
    assert_ne!(sandbox.sh("mknod /tmp/disk b 8 0 && cat /tmp/disk").code, 0);
    let devices = sandbox.sh("ls /dev").ok();
    for device in ["null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd", "stdin"] {
        assert!(devices.split_whitespace().any(|name| name == device), "{device}: {devices}");
    }
    for device in ["kmsg", "mem", "kvm", "vda", "sda"] {
        assert!(!devices.split_whitespace().any(|name| name == device), "{device}: {devices}");
    }
    sandbox.sh("echo x > /dev/null && head -c 4 /dev/urandom | wc -c | grep -q 4").code(0);
}

#[test]
fn processes_of_others_cannot_be_seen() {
    let sandbox = Sandbox::new();
    let processes = sandbox.sh("ls -d /proc/[0-9]* | wc -l").ok();
    assert!(processes.parse::<u32>().unwrap() < 10, "{processes}");
    assert_eq!(sandbox.sampan("run --rm --network none busybox readlink /proc/self").ok(), "1");
}

#[test]
fn userns_host_opts_out() {
    let sandbox = Sandbox::new();
    let namespace =
        sandbox.sampan("run --rm --network none --userns=host busybox readlink /proc/self/ns/user").ok();
    assert_eq!(namespace, std::fs::read_link("/proc/self/ns/user").unwrap().to_string_lossy());
    sandbox.sleeper("box", "--network none --userns=host");
    let owner = std::fs::metadata(format!("/proc/{}", sandbox.pid("box"))).unwrap().uid();
    assert_eq!(owner, 0);
    sandbox.words(&["exec", "box", "sh", "-c", "echo written > /file && cat /file"]).code(0);
}

#[test]
fn device_numbers_are_guarded_without_a_user_namespace() {
    let sandbox = Sandbox::new();
    // MKNOD is among the capabilities; the control group's device rules stand between.
    let words = ["run", "--rm", "--network", "none", "--userns=host", "busybox", "sh", "-c"];
    let said = sandbox
        .words(&[&words[..], &["mknod /tmp/mem c 1 1 && dd if=/tmp/mem of=/dev/null count=1"]].concat());
    assert_ne!(said.code, 0, "{said}");
}
