//! What the program may not do.

use crate::{Test, support::Fixture};
use sampan_types::spec::{Action, Seccomp, SyscallRule};
use std::path::PathBuf;

pub(crate) const TESTS: &[Test] = &[
    ("confinement_masked_and_read_only_paths", paths),
    ("confinement_paths_cannot_be_uncovered", uncover),
    ("confinement_seccomp", seccomp),
    ("confinement_read_only_root", read_only_root),
    ("confinement_capabilities", capabilities),
    ("confinement_devices", devices),
];

fn paths() {
    let script = "cat /proc/cpuinfo | head -c 1; ls /sys/firmware; echo 1 > /proc/sys/net/ipv4/ip_forward; echo $?; \
                  touch /sys/x; mount | grep -c cpuinfo; touch /sys/fs/cgroup/x";
    let ended = Fixture::new(script).run().unwrap();
    assert!(
        ended.text.contains("/proc/sys/net/ipv4/ip_forward: Read-only file system\n1\n"),
        "{}",
        ended.text
    );
    assert!(ended.text.contains("touch: /sys/x: Read-only file system\n1\n"), "{}", ended.text);
    assert!(ended.text.contains("touch: /sys/fs/cgroup/x: "), "{}", ended.text);
    assert_eq!(ended.text.lines().count(), 5, "nothing of kcore or firmware: {}", ended.text);
}

fn uncover() {
    let script = "umount /proc/cpuinfo; umount /sys/firmware; umount /proc/sys; mount -o remount,rw /proc/sys; \
                  echo 1 > /proc/sys/net/ipv4/ip_forward";
    let ended = Fixture::new(script).run().unwrap();
    for path in ["/proc/cpuinfo", "/sys/firmware", "/proc/sys"] {
        assert!(
            ended.text.contains(&format!("can't unmount {path}: Operation not permitted")),
            "{}",
            ended.text
        );
    }
    assert_eq!(ended.code, 1, "{}", ended.text);
}

fn profile(names: &[&str]) -> Seccomp {
    Seccomp {
        default_action: Action::Allow,
        default_errno_ret: None,
        architectures: vec!["SCMP_ARCH_X86".into()],
        flags: None,
        listener_path: None,
        listener_metadata: None,
        syscalls: vec![SyscallRule {
            names: names.iter().map(|&name| name.into()).collect(),
            action: Action::Errno,
            errno_ret: Some(38),
            args: Vec::new(),
        }],
    }
}

fn seccomp() {
    for no_new_privileges in [true, false] {
        for mut fixture in [Fixture::new(""), Fixture::privileged("")] {
            // The runtime's own calls on the way are not in its way: all of them come before the filter.
            fixture.linux().seccomp = Some(profile(&[
                "unshare",
                "no_such_call",
                "chdir",
                "getcwd",
                "setresuid",
                "setgroups",
                "prctl",
                "openat2",
                "move_mount",
                "close_range",
                "personality",
                "sendmsg",
                "recvmsg",
            ]));
            let process = fixture.process();
            process.no_new_privileges = no_new_privileges;
            process.args[2] = "grep -E '^(Seccomp|CapEff):' /proc/self/status; unshare -U true".into();
            let ended = fixture.run().unwrap();
            assert!(ended.text.starts_with("CapEff:\t00000000080000e3\nSeccomp:\t2\n"), "{}", ended.text);
            assert!(ended.text.contains("unshare(0x10000000): Function not implemented"), "{}", ended.text);
        }
    }
}

fn read_only_root() {
    let mut fixture =
        Fixture::new("touch /x; touch /dev/shm/y && touch /dev/y && echo fine; mkdir /dev/pts/d");
    fixture.spec.root = Some(sampan_types::spec::Root { path: PathBuf::new(), readonly: true });
    let ended = fixture.run().unwrap();
    assert!(ended.text.starts_with("touch: /x: Read-only file system\nfine\n"), "{}", ended.text);
}

fn capabilities() {
    let mut fixture = Fixture::new("grep Cap /proc/self/status");
    let process = fixture.process();
    process.user.uid = 1000;
    let capabilities = process.capabilities.as_mut().unwrap();
    capabilities.inheritable = vec!["CAP_KILL".into()];
    capabilities.ambient = vec!["CAP_KILL".into(), "CAP_CHOWN".into(), "CAP_FLY".into()];
    let (mut container, reader) = fixture.create_piped().unwrap();
    assert_eq!(container.warnings().len(), 2, "{:?}", container.warnings());
    container.start().unwrap();
    let ended = crate::support::end(container.pidfd().unwrap(), reader);
    container.delete().unwrap();
    let kill = "0000000000000020";
    assert_eq!(
        ended.text,
        format!(
            "CapInh:\t{kill}\nCapPrm:\t{kill}\nCapEff:\t{kill}\nCapBnd:\t00000000080000e3\nCapAmb:\t{kill}\n"
        )
    );
}

fn devices() {
    let script = "mknod /disk b 8 0; for d in null zero full random urandom tty; do ls -l /dev/$d; done; \
                  echo x > /dev/null && head -c 1 /dev/zero";
    let ended = Fixture::new(script).run().unwrap();
    assert!(ended.text.contains("mknod: /disk: Operation not permitted"), "{}", ended.text);
    assert_eq!(ended.text.matches("crw-rw-rw-").count(), 6, "{}", ended.text);
}
