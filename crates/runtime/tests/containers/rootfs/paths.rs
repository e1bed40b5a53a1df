//! Masked and read-only paths.

use crate::{
    Test,
    support::{Fixture, bind, mount},
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

pub(crate) const TESTS: &[Test] = &[
    ("rootfs_masked_paths", masked),
    ("rootfs_masked_by_the_null_device_only", fake_null),
    ("rootfs_read_only_paths", read_only),
];

fn paths(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

fn masked() {
    for (readonly, fixture) in
        [(true, Fixture::privileged("")), (false, Fixture::new("")), (true, Fixture::new(""))]
    {
        let mut fixture = fixture;
        fixture.spec.root = Some(sampan_types::spec::Root { path: PathBuf::new(), readonly });
        let layer = fixture.path("layer");
        for name in ["secret/deep", "more/deep"] {
            fs::create_dir_all(layer.join(name)).unwrap();
        }
        fs::write(layer.join("etc/shadow"), "hash\n").unwrap();
        symlink("/etc/shadow", layer.join("link")).unwrap();
        fixture.linux().masked_paths =
            paths(&["/secret", "/etc/shadow", "/secret", "/link", "/more/", "/none", "/etc/shadow/below"]);
        fixture.process().args[2] =
            "ls -A /secret /more; cat /etc/shadow; echo x > /etc/shadow; touch /secret/x; \
             umount /secret; umount /etc/shadow; grep -E ' (/secret|/more|/etc/shadow) ' /proc/self/mountinfo"
                .into();
        let text = fixture.says();
        assert!(!text.contains("deep") && !text.contains("hash"), "{text}");
        assert!(text.contains("touch: /secret/x: Read-only file system"), "{text}");
        for path in ["/secret", "/etc/shadow"] {
            assert!(text.contains(&format!("can't unmount {path}: Operation not permitted")), "{text}");
        }
        let mounts: Vec<Vec<_>> = text
            .lines()
            .map(|line| line.split(' ').collect())
            .filter(|fields: &Vec<_>| fields.len() > 8)
            .collect();
        assert_eq!(mounts.len(), 3, "each once: {text}");
        let tmpfs: Vec<_> = mounts.iter().filter(|fields| fields[4] != "/etc/shadow").collect();
        assert_eq!(tmpfs[0][2], tmpfs[1][2], "one filesystem for all directories: {text}");
    }
}

/// Nothing of the container's has any say in what hides a file (CVE-2025-31133).
fn fake_null() {
    let mut fixture = Fixture::privileged("cat /etc/shadow; stat -c %t:%T /etc/shadow").plain();
    fs::write(fixture.inside("etc/shadow"), "hash\n").unwrap();
    // The image has its own idea of /dev, and a volume over it.
    symlink("/proc/sysrq-trigger", fixture.inside("dev/null")).unwrap();
    fs::create_dir(fixture.path("dev")).unwrap();
    symlink("/proc/sysrq-trigger", fixture.path("dev/null")).unwrap();
    fixture.spec.mounts.retain(|mount| !mount.destination.starts_with("/dev"));
    fixture.spec.mounts.push(bind(&fixture.path("dev"), "/dev", "bind"));
    fixture.linux().masked_paths = paths(&["/etc/shadow"]);
    assert_eq!(fixture.says(), "1:3\n");
}

fn read_only() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let mut fixture = fixture(
            "touch /etc/x; touch /tmp/x; touch /t/x; touch /t/sub/x && echo below; umount /etc; \
             mount -o remount,rw,bind /etc; grep -E ' /t ' /proc/self/mountinfo",
        );
        symlink("/tmp", fixture.path("layer/link")).unwrap();
        fixture.spec.mounts.push(mount("/t", "tmpfs", "nosuid,nodev,noexec"));
        fixture.spec.mounts.push(mount("/t/sub", "tmpfs", "rw"));
        fixture.linux().readonly_paths = paths(&["/etc", "/link", "/t", "/none", "/etc/passwd/x"]);
        let text = fixture.says();
        for path in ["/etc/x", "/tmp/x", "/t/x"] {
            assert!(text.contains(&format!("touch: {path}: Read-only file system")), "{text}");
        }
        // What is mounted below stays as it was, and so do the other bits.
        assert!(text.contains("below\n") && text.contains("can't unmount /etc: "), "{text}");
        let line = text.lines().last().unwrap();
        assert!(["ro", "nosuid", "nodev", "noexec"].iter().all(|word| line.contains(word)), "{text}");
        assert!(Path::new("/etc").exists());
    }
}
