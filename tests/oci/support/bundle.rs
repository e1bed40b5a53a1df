//! A root file system: one static busybox under its names.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folders of a root file system; `/tmp` is world-writable.
const FOLDERS: &[&str] =
    &["bin", "dev", "etc", "home", "home/ann", "mnt", "proc", "root", "run", "sys", "tmp", "usr", "var"];

/// The commands that cases run inside. All 268 names of busybox would take most of a case's time: each is an entry on a disk with a journal.
const APPLETS: &[&str] = &[
    "[",
    "awk",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "chroot",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "dirname",
    "dmesg",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "free",
    "grep",
    "groups",
    "head",
    "hostname",
    "id",
    "ifconfig",
    "ionice",
    "ip",
    "kill",
    "link",
    "ln",
    "ls",
    "mkdir",
    "mkfifo",
    "mknod",
    "mount",
    "mountpoint",
    "mv",
    "nc",
    "nproc",
    "nsenter",
    "pivot_root",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "renice",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "setpriv",
    "setsid",
    "sh",
    "sleep",
    "sort",
    "stat",
    "stty",
    "sync",
    "sysctl",
    "tail",
    "taskset",
    "tee",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "truncate",
    "tty",
    "umount",
    "uname",
    "uniq",
    "unlink",
    "unshare",
    "wc",
    "which",
    "whoami",
    "xargs",
    "yes",
];

/// Who lives there: ann is 1000 and also in the groups staff and lab.
const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbob:x:1001:100::/home/bob:/bin/sh\n";
const GROUP: &str = "root:x:0:\nusers:x:100:\nann:x:1000:\nstaff:x:50:ann\nlab:x:2000:bob,ann\n";

/// Makes it at a path. Each case has its own, so that it may write into it; a copy of the one program is cheaper than any mount.
pub(super) fn rootfs(path: &Path) {
    std::fs::create_dir(path).expect("the root of the file system");
    for folder in FOLDERS {
        std::fs::create_dir(path.join(folder)).expect("a folder of the root file system");
    }
    std::fs::set_permissions(path.join("tmp"), std::fs::Permissions::from_mode(0o1777))
        .expect("/tmp for all");
    std::fs::write(path.join("etc/passwd"), PASSWD).expect("passwd");
    std::fs::write(path.join("etc/group"), GROUP).expect("group");
    let bin = path.join("bin");
    // By a process of its own: a descriptor of ours that writes would be inherited by what another case starts at that moment, and
    // a program that somebody writes to cannot be run.
    let copied = Command::new("cp").arg(busybox()).arg(&bin).status().expect("cp can be run");
    assert!(copied.success(), "a copy of busybox");
    for name in APPLETS {
        symlink("busybox", bin.join(name)).expect("a name of busybox");
    }
}

/// The host's static busybox.
pub(crate) fn busybox() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let folders = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
        let found =
            folders.iter().map(|folder| Path::new(folder).join("busybox")).find(|path| path.is_file());
        found.expect("busybox is there: run `cargo xtask setup test`")
    })
}
