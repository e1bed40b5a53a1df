//! A root filesystem with busybox.

use sampan_types::spec::Mount;
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

const APPLETS: [&str; 22] = [
    "sh", "cat", "echo", "head", "yes", "sleep", "touch", "stty", "tty", "id", "ls", "kill", "true", "false",
    "readlink", "reboot", "poweroff", "printf", "dd", "tr", "test", "usleep",
];

/// Makes it.
pub(super) fn make(path: &Path) {
    for folder in ["bin", "proc", "dev", "sys", "tmp"] {
        fs::create_dir_all(path.join(folder)).unwrap();
    }
    fs::set_permissions(path.join("tmp"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::copy("/bin/busybox", path.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        symlink("busybox", path.join("bin").join(applet)).unwrap();
    }
    fs::write(path.join("bin/plain"), "no program").unwrap();
}

/// What is mounted in it.
pub(super) fn mounts() -> Vec<Mount> {
    let mount = |destination: &str, fs_type: &str, options: &[&str]| Mount {
        destination: destination.into(),
        fs_type: Some(fs_type.to_owned()),
        source: Some(fs_type.into()),
        options: options.iter().map(|text| (*text).to_owned()).collect(),
        ..Mount::default()
    };
    vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
    ]
}
