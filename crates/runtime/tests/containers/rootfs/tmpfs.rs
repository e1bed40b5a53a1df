//! tmpfs, and the kernel's own filesystems.

use super::options_of;
use crate::{
    Test,
    support::{Fixture, mount},
};
use sampan_types::spec::NamespaceKind;
use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
};

pub(crate) const TESTS: &[Test] = &[
    ("rootfs_tmpfs_modes", modes),
    ("rootfs_tmpfs_copies_up", copies_up),
    ("rootfs_kernel_filesystems", kernel),
    ("rootfs_without_any_mounts", nothing),
    ("rootfs_host_namespaces", host_namespaces),
    ("rootfs_cgroup_mounts", cgroups),
];

fn modes() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let mut fixture = fixture("stat -c '%a %n' /etc/t /etc/all /missing /given; touch /small/x /small/y");
        let layer = fixture.path("layer");
        for (name, mode) in [("t", 0o751), ("all", 0o7713)] {
            fs::create_dir(layer.join("etc").join(name)).unwrap();
            fs::set_permissions(layer.join("etc").join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut bare = mount("/missing", "tmpfs", "rw");
        bare.source = None;
        fixture.spec.mounts.extend([
            mount("/etc/t", "tmpfs", "rw"),
            mount("/etc/all", "tmpfs", "size=1m"),
            bare,
            mount("/given", "tmpfs", "mode=0700"),
            mount("/small", "tmpfs", "nr_inodes=2"),
        ]);
        let text = fixture.says();
        assert!(text.starts_with("751 /etc/t\n7713 /etc/all\n1777 /missing\n700 /given\n"), "{text}");
        assert!(text.contains("touch: /small/y: No space left on device"), "{text}");
    }
}

fn copies_up() {
    let mut fixture =
        Fixture::new("stat -c '%a %u %n' /data /data/d /data/d/f; cat /data/d/f; touch /data/new");
    let data = fixture.path("layer/data");
    fs::create_dir_all(data.join("d")).unwrap();
    fs::write(data.join("d/f"), "text\n").unwrap();
    fs::set_permissions(data.join("d"), fs::Permissions::from_mode(0o2750)).unwrap();
    fs::set_permissions(data.join("d/f"), fs::Permissions::from_mode(0o4711)).unwrap();
    chown(&data, Some(33), Some(33)).unwrap();
    chown(data.join("d/f"), Some(7), Some(7)).unwrap();
    fs::set_permissions(data.join("d/f"), fs::Permissions::from_mode(0o4711)).unwrap();
    fixture.spec.mounts.push(mount("/data", "tmpfs", "tmpcopyup,size=1m"));
    assert_eq!(fixture.says(), "755 33 /data\n2750 0 /data/d\n4711 7 /data/d/f\ntext\n");
    assert!(!data.join("new").exists() && !fixture.path("upper/data/new").exists());
}

fn kernel() {
    let mut fixture = Fixture::new("ls -d /proc/1; cat /proc/self/mountinfo");
    fixture.spec.mounts[0].options = ["hidepid=2", "subset=pid"].map(str::to_owned).to_vec();
    fixture.linux().masked_paths.clear();
    fixture.linux().readonly_paths.clear();
    let text = fixture.says();
    assert!(text.contains("hidepid=invisible,subset=pid"), "{text}");
    // Terminals belong to group 5, where there is one.
    let devpts = |text: &str| text.lines().find(|line| line.contains(" /dev/pts ")).unwrap().to_owned();
    assert!(devpts(&text).contains("gid=1700005"), "{text}");
    fixture.linux().gid_mappings[0].size = 3;
    let text = fixture.says();
    assert!(devpts(&text).contains("mode=620") && !devpts(&text).contains("gid="), "{text}");
}

fn nothing() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let mut fixture = fixture("echo fine; ls -d /proc /sys /dev/null");
        fixture.spec.mounts.clear();
        assert_eq!(
            fixture.says(),
            "fine\nls: /proc: No such file or directory\nls: /sys: No such file or directory\n/dev/null\n"
        );
    }
}

fn host_namespaces() {
    // A user namespace may mount only what belongs to its own namespaces: else it gets the host's.
    let mut fixture = Fixture::new("ls -d /sys/kernel /proc/self && touch /sys/x; cat /proc/self/mountinfo");
    fixture
        .linux()
        .namespaces
        .retain(|namespace| !matches!(namespace.kind, NamespaceKind::Network | NamespaceKind::Pid));
    let text = fixture.says();
    assert!(text.starts_with("/proc/self\n/sys/kernel\ntouch: /sys/x: "), "{text}");
    for path in ["/sys", "/proc"] {
        let found = options_of(&text, path);
        assert!(["nosuid", "nodev", "noexec"].iter().all(|word| found.contains(word)), "{text}");
    }
    assert!(options_of(&text, "/sys").contains(&"ro"), "{text}");
}

fn cgroups() {
    let unified = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    for own in [true, false] {
        for fixture in [Fixture::new, Fixture::privileged] {
            let mut fixture =
                fixture("cat /proc/self/cgroup; cat /proc/self/mountinfo; mkdir /sys/fs/cgroup/x");
            if !own {
                fixture.linux().namespaces.retain(|namespace| namespace.kind != NamespaceKind::Cgroup);
            }
            fs::create_dir(fixture.path("vol")).unwrap();
            let volume = fixture.path("vol");
            fixture.spec.mounts.insert(0, crate::support::bind(&volume, "/before", "bind"));
            let text = fixture.says();
            let mounts: Vec<Vec<_>> = text
                .lines()
                .map(|line| line.split(' ').collect())
                .filter(|fields: &Vec<_>| {
                    fields.get(4).is_some_and(|path| path.starts_with("/sys/fs/cgroup"))
                })
                .collect();
            let groups = mounts.iter().filter(|fields| unified || fields[4] != "/sys/fs/cgroup");
            let mut count = 0;
            for fields in groups {
                count += 1;
                // Its own group, whichever way.
                let root = if own { "/" } else { &*fixture.id };
                assert!(fields[3].ends_with(root), "{fields:?}");
                assert!(own || fields[3].contains("sampan-test"), "{fields:?}");
                let options: Vec<_> = fields[5].split(',').collect();
                assert!(["ro", "nosuid", "noexec"].iter().all(|word| options.contains(word)), "{fields:?}");
            }
            let hierarchies = text.lines().take_while(|line| line.matches(':').count() >= 2).count();
            assert_eq!(count, hierarchies, "{text}");
            assert!(text.contains("can't create directory '/sys/fs/cgroup/x': "), "{text}");
        }
    }
}
