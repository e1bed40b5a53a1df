//! Mounts with id maps of their own.

use crate::{
    Test,
    support::{Fixture, HOST_ID, bind, with_own_mounts},
};
use sampan_types::spec::{IdMapping, Mount, Namespace, NamespaceKind};
use std::{
    fs,
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, chown},
    },
    path::PathBuf,
};

pub(crate) const TESTS: &[Test] = &[
    ("rootfs_idmap_without_a_user_namespace", without),
    ("rootfs_idmap_of_several_ranges", ranges),
    ("rootfs_idmap_words_of_crun", words),
    ("rootfs_idmap_recursive_or_not", recursive),
    ("rootfs_idmap_by_a_joined_user_namespace", joined),
    ("rootfs_idmap_refused", refused),
];

fn range(container_id: u32, host_id: u32, size: u32) -> IdMapping {
    IdMapping { container_id, host_id, size }
}

/// A directory with files of these owners, named by them.
fn volume(fixture: &Fixture, owners: &[u32]) -> PathBuf {
    let volume = fixture.path("vol");
    fs::create_dir_all(&volume).unwrap();
    for owner in owners {
        let path = volume.join(owner.to_string());
        fs::write(&path, "").unwrap();
        chown(&path, Some(*owner), Some(*owner)).unwrap();
    }
    volume
}

fn mapped(mut mount: Mount, ranges: &[IdMapping]) -> Mount {
    (mount.uid_mappings, mount.gid_mappings) = (ranges.to_vec(), ranges.to_vec());
    mount
}

fn without() {
    let mut fixture =
        Fixture::privileged("cd /v; stat -c '%n %u %g' *; touch /v/new; stat -c %u /v/new; id -u");
    let volume = volume(&fixture, &[0, 1000, 5000]);
    fixture.spec.mounts.push(mapped(bind(&volume, "/v", "bind"), &[range(0, 0, 1), range(1000, 7, 1)]));
    // 5000 is nobody there: it has no name, and cannot be made.
    assert_eq!(fixture.says(), "0 0 0\n1000 7 7\n5000 65534 65534\n0\n0\n");
    // The same maps by the word alone mean nothing.
    fixture.spec.mounts.pop();
    fixture.spec.mounts.push(bind(&volume, "/v", "bind,idmap"));
    let error = fixture.run().unwrap_err();
    assert_eq!(error.to_string(), "invalid mount on /v");
    assert_eq!(
        error.causes(),
        ["its ids are to be mapped, and neither it has maps nor the container a user namespace"]
    );
    assert_eq!(error.remedy(), Some("give it uidMappings and gidMappings"));
}

fn ranges() {
    let mut fixture = Fixture::new("cd /v; stat -c '%n %u %g' *; chown 9 /v/0; echo > /v/x");
    let volume = volume(&fixture, &[0, 3, 1001, 70_000]);
    let maps = [range(0, HOST_ID + 100, 2), range(2, HOST_ID + 500, 10), range(1000, HOST_ID, 5)];
    fixture.spec.mounts.push(mapped(bind(&volume, "/v", "rbind,idmap"), &maps));
    let text = fixture.says();
    assert!(text.starts_with("0 100 100\n1001 1 1\n3 501 501\n70000 65534 65534\n"), "{text}");
    assert!(text.contains("chown: /v/0: Value too large for defined data type"), "{text}");
    assert_eq!(fs::metadata(volume.join("x")).unwrap().uid(), 1000, "on disk it is whom root stands for");
    // Who has no id there makes nothing.
    let mut fixture = Fixture::privileged("touch /v/x");
    let volume = self::volume(&fixture, &[]);
    fixture.spec.mounts.push(mapped(bind(&volume, "/v", "bind"), &[range(0, 5, 1)]));
    assert_eq!(fixture.says(), "touch: /v/x: Value too large for defined data type\n");
}

fn words() {
    let mut fixture = Fixture::new("stat -c '%u %g' /a/1000 /r/1000");
    let volume = volume(&fixture, &[1000]);
    let absolute = format!("bind,idmap=uids=1000-{0}-1;gids=1000-{0}-1", HOST_ID + 4);
    fixture.spec.mounts.push(bind(&volume, "/a", &absolute));
    // Relative to the container's ids.
    fixture.spec.mounts.push(bind(&volume, "/r", "bind,ridmap=uids=0-0-1#@1000-6-1;gids=@1000-8-1"));
    assert_eq!(fixture.says(), "4 4\n6 8\n");
}

fn recursive() {
    with_own_mounts(|| {
        for fixture in [Fixture::new, Fixture::privileged] {
            let mut fixture = fixture("stat -c %u /one/1 /one/sub/2 /all/1 /all/sub/2");
            let volume = volume(&fixture, &[1]);
            // A mount of a filesystem that can map ids also before Linux 6.3, which a tmpfs cannot.
            for path in [volume.join("sub"), fixture.path("other")] {
                fs::create_dir(path).unwrap();
            }
            fs::write(fixture.path("other/2"), "").unwrap();
            chown(fixture.path("other/2"), Some(2), Some(2)).unwrap();
            rustix::mount::mount_bind(fixture.path("other"), volume.join("sub")).unwrap();
            let base = if fixture.linux().uid_mappings.is_empty() { 0 } else { HOST_ID };
            let maps = [range(0, base + 10, 10)];
            fixture.spec.mounts.push(mapped(bind(&volume, "/one", "rbind,idmap"), &maps));
            fixture.spec.mounts.push(mapped(bind(&volume, "/all", "rbind,ridmap"), &maps));
            let (mut container, reader) = fixture.create_piped().unwrap();
            container.start().unwrap();
            let text = crate::support::end(container.pidfd().unwrap(), reader).text;
            container.delete().unwrap();
            rustix::mount::unmount(volume.join("sub"), rustix::mount::UnmountFlags::DETACH).unwrap();
            let below = if base == 0 { 2 } else { 65534 };
            assert_eq!(text, format!("11\n{below}\n11\n12\n"));
        }
    });
}

fn joined() {
    // The namespace of a container that runs, by a path, and by a bind mount of it elsewhere.
    let mut owner = Fixture::new("sleep 100");
    owner.spec.mounts.clear();
    owner.linux().masked_paths.clear();
    let (container, _reader) = owner.create_piped().unwrap();
    let path = PathBuf::from(format!("/proc/{}/ns/user", container.pid()));
    let fd = fs::File::open(&path).unwrap();
    for path in [path, PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd()))] {
        let mut fixture = Fixture::new("stat -c '%u %g' /v/1000; id -u");
        let volume = volume(&fixture, &[1000]);
        let linux = fixture.linux();
        linux.namespaces.retain(|namespace| namespace.kind != NamespaceKind::User);
        linux.namespaces.push(Namespace { kind: NamespaceKind::User, path: Some(path) });
        (linux.uid_mappings, linux.gid_mappings) = Default::default();
        fixture.spec.mounts.push(bind(&volume, "/v", "bind,idmap"));
        assert_eq!(fixture.says(), "1000 1000\n0\n");
    }
    container.delete().unwrap();
}

fn refused() {
    let mut fixture = Fixture::new("true");
    // A filesystem of the kernel's that has no ids to map.
    fixture.spec.mounts.push(bind(std::path::Path::new("/sys/kernel"), "/v", "bind,idmap"));
    let error = fixture.run().unwrap_err();
    assert_eq!(error.to_string(), "cannot map ids of the mount on /v");
    assert_eq!(error.causes(), ["this filesystem cannot map ids"]);
    // What lies in a root filesystem that is itself not mapped.
    let mut fixture = Fixture::new("true").plain();
    fixture.spec.mounts.push(bind(std::path::Path::new("rootfs/etc"), "/v", "bind,idmap"));
    let error = fixture.run().unwrap_err();
    let why = "what is bound lies in the root filesystem, where a user namespace cannot map ids";
    assert_eq!(error.causes().join(": "), format!("cannot bind rootfs/etc: {why}"));
    fixture.assert_nothing_left();
}
