//! What a mount allows: words of its own, words for all below it, bits that are locked.

use super::options_of;
use crate::{
    Test,
    support::{Fixture, bind, host_tmpfs, mount, with_own_mounts},
};
use std::{fs, os::unix::fs::PermissionsExt};

pub(crate) const TESTS: &[Test] = &[
    ("rootfs_flags_of_a_bind_mount_replace_its_sources", replaced),
    ("rootfs_flags_are_locked_in_a_user_namespace", locked),
    ("rootfs_flags_for_all_below", recursive),
    ("rootfs_flags_of_new_filesystems", of_new),
    ("rootfs_flags_changed_by_a_remount", remount),
    ("rootfs_propagation_of_mounts", propagation),
];

const SHOW: &str = "cat /proc/self/mountinfo";

/// Source's options, the bind mount's, what it has then, what it has not.
type Case = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

fn check(cases: &[Case], fixture: impl Fn() -> Fixture) {
    with_own_mounts(|| {
        for (number, (source, options, has, has_not)) in cases.iter().enumerate() {
            let mut fixture = fixture();
            host_tmpfs(&fixture.path("vol"), source);
            fixture.spec.mounts.push(bind(&fixture.path("vol"), "/v", options));
            fixture.process().args[2] = SHOW.into();
            let container = fixture.create_piped();
            rustix::mount::unmount(fixture.path("vol"), rustix::mount::UnmountFlags::DETACH).unwrap();
            let (mut container, reader) =
                container.unwrap_or_else(|error| panic!("case {number}: {error:?}"));
            container.start().unwrap();
            let text = crate::support::end(container.pidfd().unwrap(), reader).text;
            container.delete().unwrap();
            let found = options_of(&text, "/v");
            assert!(has.iter().all(|word| found.contains(word)), "{source} {options}: {found:?}");
            assert!(!has_not.iter().any(|word| found.contains(word)), "{source} {options}: {found:?}");
        }
    });
}

fn replaced() {
    const CASES: &[Case] = &[
        ("ro,nosuid,noexec,nodiratime", "bind", &["ro", "nosuid", "noexec", "nodiratime"], &[]),
        ("ro,noexec,nodiratime,nosymfollow", "bind,dev", &["rw", "nodiratime"], &["noexec", "nosymfollow"]),
        ("ro", "bind,nosuid,nodev,rprivate", &["rw", "nosuid", "nodev"], &["ro"]),
        (
            "nosuid,nodev,noexec,noatime",
            "bind,dev,exec,suid,atime",
            &["rw", "noatime"],
            &["nosuid", "noexec"],
        ),
        ("nosuid,noatime", "bind,ro,noexec", &["ro", "noexec", "noatime"], &["nosuid"]),
        ("noatime", "bind,relatime", &["relatime"], &["noatime"]),
        ("noatime,nodiratime", "bind,strictatime", &["rw"], &["noatime", "relatime", "nodiratime"]),
        ("strictatime", "bind,noatime,nodiratime", &["noatime", "nodiratime"], &[]),
        ("rw", "bind,nosymfollow,sync,lazytime", &["nosymfollow"], &[]),
    ];
    check(CASES, || Fixture::privileged(""));
}

fn locked() {
    const CASES: &[Case] = &[
        ("ro,nosuid,noexec,nodiratime", "bind", &["ro", "nosuid", "noexec", "nodiratime"], &[]),
        ("ro,noexec,nosymfollow", "bind,dev", &["ro", "noexec"], &["nosymfollow"]),
        ("ro", "bind,nosuid,nodev,rprivate", &["ro", "nosuid", "nodev"], &[]),
        ("nosuid,noatime", "bind,ro,noexec,noatime", &["ro", "noexec", "noatime", "nosuid"], &[]),
        ("rw", "bind,dev,exec,suid,rw,atime", &["rw"], &["nosuid"]),
    ];
    check(CASES, || Fixture::new(""));
    with_own_mounts(|| {
        for (options, refusal) in [
            ("bind,rw", "cannot clear locked flags ro"),
            ("bind,suid,dev", "cannot clear locked flags nosuid"),
            ("bind,atime", "cannot clear locked flags noatime"),
            ("bind,strictatime", "cannot change locked access time flags"),
            // For all below it is the kernel that says so.
            ("rbind,rrw", "Operation not permitted (os error 1)"),
            ("rbind,rsuid", "Operation not permitted (os error 1)"),
            ("rbind,ratime", "Operation not permitted (os error 1)"),
        ] {
            let mut fixture = Fixture::new("true");
            // For the kernel to say so, the container must be able to go there.
            fs::set_permissions(fixture.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
            host_tmpfs(&fixture.path("vol"), "ro,nosuid,noatime");
            fixture.spec.mounts.push(bind(&fixture.path("vol"), "/v", options));
            let error = fixture.create_piped().map(drop).unwrap_err();
            rustix::mount::unmount(fixture.path("vol"), rustix::mount::UnmountFlags::DETACH).unwrap();
            let text = format!("{error}: {}", error.causes().join(": "));
            let expected = format!("cannot set options of the mount on /v: {refusal}");
            assert!(text.ends_with(&expected), "{options}: {text}");
            fixture.assert_nothing_left();
        }
    });
}

fn recursive() {
    with_own_mounts(|| {
        for (options, top, below, below_not) in [
            ("rbind,ro", &["ro"][..], &["rw"][..], &["ro"][..]),
            ("rbind,rro", &["ro"], &["ro"], &[]),
            (
                "rbind,rro,rnosuid,rnodev,rnoexec,rnoatime",
                &["ro", "noatime"],
                &["ro", "nosuid", "nodev", "noexec", "noatime"],
                &[],
            ),
            ("rbind,rnosymfollow,rnodiratime", &["nosymfollow"], &["nosymfollow", "nodiratime"], &[]),
            ("rbind,rro,nosuid", &["ro", "nosuid"], &["ro"], &["nosuid"]),
            ("rbind,rrw,rsuid,rstrictatime", &["rw"], &["rw"], &["relatime", "nosuid"]),
            ("rbind,bind,ro", &["ro"], &["rw"], &[]),
        ] {
            let mut fixture = Fixture::privileged(SHOW);
            let volume = fixture.path("vol");
            host_tmpfs(&volume, "rw");
            host_tmpfs(&volume.join("sub"), "rw");
            fixture.spec.mounts.push(bind(&volume, "/v", options));
            let text = fixture.create_piped().map(|(mut container, reader)| {
                container.start().unwrap();
                let text = crate::support::end(container.pidfd().unwrap(), reader).text;
                container.delete().unwrap();
                text
            });
            for path in [volume.join("sub"), volume] {
                rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH).unwrap();
            }
            let text = text.unwrap();
            let (found, found_below) = (options_of(&text, "/v"), options_of(&text, "/v/sub"));
            assert!(top.iter().all(|word| found.contains(word)), "{options}: {found:?}");
            assert!(below.iter().all(|word| found_below.contains(word)), "{options}: {found_below:?}");
            assert!(!below_not.iter().any(|word| found_below.contains(word)), "{options}: {found_below:?}");
        }
    });
}

fn of_new() {
    let mut fixture = Fixture::privileged("cat /proc/self/mountinfo; touch /r/sub/x && echo written");
    fixture.spec.mounts.extend([
        mount("/a", "tmpfs", "nosuid,nodev,noexec,noatime,nosymfollow,sync,dirsync,mand,lazytime"),
        // Options of the whole tree mean the mount itself where there is nothing below it.
        mount("/b", "tmpfs", "rnosuid,rro,rnoatime"),
        mount("/c", "tmpfs", "strictatime"),
        // Mount points are made in what is read-only in the end, and nothing else is read-only for it.
        mount("/r", "tmpfs", "ro"),
        mount("/r/sub", "tmpfs", "rw"),
    ]);
    let dev = fixture.spec.mounts.iter_mut().find(|mount| mount.destination.ends_with("dev")).unwrap();
    dev.options.push("ro".into());
    let text = fixture.says();
    let a = options_of(&text, "/a");
    assert!(
        ["nosuid", "nodev", "noexec", "noatime", "nosymfollow"].iter().all(|word| a.contains(word)),
        "{a:?}"
    );
    let line = text.lines().find(|line| line.contains(" /a ")).unwrap();
    assert!(line.contains("sync"), "of the filesystem: {line}");
    let b = options_of(&text, "/b");
    assert!(["ro", "nosuid", "noatime"].iter().all(|word| b.contains(word)), "{b:?}");
    let c = options_of(&text, "/c");
    assert!(!c.contains(&"relatime") && !c.contains(&"noatime"), "{c:?}");
    assert!(options_of(&text, "/r").contains(&"ro") && options_of(&text, "/dev").contains(&"ro"), "{text}");
    assert!(text.ends_with("written\n"), "{text}");
}

fn remount() {
    let mut fixture = Fixture::privileged("cat /proc/self/mountinfo; stat -f /t");
    fs::create_dir(fixture.path("vol")).unwrap();
    fixture.spec.mounts.extend([
        bind(&fixture.path("vol"), "/v", "bind"),
        mount("/v", "none", "bind,remount,ro,nosuid"),
        mount("/t", "tmpfs", "size=4k"),
        mount("/t", "tmpfs", "remount,size=64k,noexec"),
    ]);
    let text = fixture.says();
    let (v, t) = (options_of(&text, "/v"), options_of(&text, "/t"));
    assert!(v.contains(&"ro") && v.contains(&"nosuid") && t.contains(&"noexec"), "{v:?} {t:?}");
    assert!(text.contains("size=64k"), "{text}");
    let mut fixture = Fixture::privileged("true");
    fixture.spec.mounts.push(mount("/bin", "none", "bind,remount,ro"));
    let error = fixture.run().unwrap_err();
    assert_eq!(error.to_string(), "cannot mount on /bin", "no mount is there: {error:?}");
}

fn propagation() {
    with_own_mounts(|| {
        use rustix::mount::{MountPropagationFlags, mount_change};
        mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC).unwrap();
        for fixture in [Fixture::new, Fixture::privileged] {
            let mut fixture = fixture(SHOW);
            fs::create_dir(fixture.path("vol")).unwrap();
            let volume = fixture.path("vol");
            for word in ["shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate"] {
                fixture.spec.mounts.push(bind(&volume, &format!("/{word}"), &format!("bind,{word}")));
            }
            fixture.spec.mounts.push(bind(&volume, "/default", "bind"));
            let text = fixture.says();
            let tags = |path: &str| {
                let line = text.lines().find(|line| line.split(' ').nth(4) == Some(path)).unwrap();
                let tags: Vec<_> = line.split(' ').skip(6).take_while(|tag| *tag != "-").collect();
                tags.iter().map(|tag| tag.split(':').next().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
            };
            assert_eq!(tags("/shared"), "shared master");
            assert_eq!(tags("/rshared"), "shared master");
            assert_eq!(tags("/private") + &tags("/rprivate"), "");
            assert_eq!(tags("/unbindable"), "unbindable");
            // The host's mounts come in, the container's do not go out.
            for path in ["/slave", "/rslave", "/default"] {
                assert_eq!(tags(path), "master", "{path}");
            }
        }
    });
}
