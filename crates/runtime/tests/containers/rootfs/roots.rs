//! Where the root comes from, how it is entered, and what travels between its mounts and the host's.

use crate::{
    Test,
    support::{Fixture, bind, mount, with_own_mounts},
};
use rustix::mount::{MountPropagationFlags, mount_change};
use sampan_types::spec::{Hook, Hooks, IdMapping, Root};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

pub(crate) const TESTS: &[Test] = &[
    ("rootfs_root_of_the_bundle", of_the_bundle),
    ("rootfs_root_covered", covered),
    ("rootfs_root_read_only", read_only),
    ("rootfs_root_where_mapped_ids_cannot_go", closed),
    ("rootfs_root_without_pivot", no_pivot),
    ("rootfs_root_hooks_find_it", hooks),
    ("rootfs_root_propagation", propagation),
    ("rootfs_root_modes_of_what_is_made", mask),
    ("rootfs_root_of_an_ordinary_user", ordinary_user),
    ("rootfs_root_of_an_ordinary_user_with_a_range", range_of_ids),
];

fn of_the_bundle() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let mut fixture = fixture("touch /made; ls -a /..; cat /proc/self/mountinfo").plain();
        for path in ["rootfs", "./rootfs/", "../bundle//rootfs", ""] {
            let absolute = fixture.path("bundle/rootfs").to_str().unwrap().to_owned();
            let path = if path.is_empty() { absolute } else { path.to_owned() };
            fixture.spec.root = Some(Root { path: path.into(), readonly: false });
            let text = fixture.says();
            let roots = text.lines().filter(|line| line.split(' ').nth(4) == Some("/")).count();
            assert_eq!(roots, 1, "{text}");
            assert!(!text.contains("/sys/fs/cgroup/unified/sampan"), "{text}");
        }
    }
    // The bundle itself.
    let mut fixture = Fixture::privileged("ls -d /bin");
    fixture.rootfs = None;
    for name in ["bin", "etc"] {
        fs::rename(fixture.path("layer").join(name), fixture.path("bundle").join(name)).unwrap();
    }
    fixture.spec.root = Some(Root { path: ".".into(), readonly: false });
    assert_eq!(fixture.says(), "/bin\n");
}

fn covered() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let mut fixture = fixture("ls /; touch /x").plain();
        let top = fixture.path("top");
        fs::create_dir(&top).unwrap();
        fs::rename(fixture.inside("bin"), top.join("bin")).unwrap();
        fs::set_permissions(&top, fs::Permissions::from_mode(0o777)).unwrap();
        fixture.spec.mounts.insert(0, bind(&top, "/", "bind"));
        assert_eq!(fixture.says(), "bin\ndev\nproc\nsys\n");
        assert!(top.join("x").exists());
    }
}

fn read_only() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let mut fixture =
            fixture("touch /x; touch /t/y && touch /dev/shm/y && touch /v/y && echo fine").plain();
        fixture.spec.root.as_mut().unwrap().readonly = true;
        for path in [fixture.path("vol"), fixture.inside("t"), fixture.inside("v")] {
            fs::create_dir(path).unwrap();
        }
        fs::set_permissions(fixture.path("vol"), fs::Permissions::from_mode(0o777)).unwrap();
        let volume = fixture.path("vol");
        fixture.spec.mounts.push(mount("/t", "tmpfs", "rw"));
        fixture.spec.mounts.push(bind(&volume, "/v", "bind"));
        assert_eq!(fixture.says(), "touch: /x: Read-only file system\nfine\n");
        assert!(!fixture.inside("x").exists());
    }
}

fn closed() {
    let fixture = Fixture::new("ls -d /bin").plain();
    fs::set_permissions(fixture.directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(fixture.directory.path(), Some(1234), Some(1234)).unwrap();
    assert_eq!(fixture.says(), "/bin\n");
}

fn no_pivot() {
    for plain in [true, false] {
        for fixture in [Fixture::new, Fixture::privileged] {
            let mut fixture =
                fixture("cat /proc/self/mountinfo; ls -a /; ls /..; echo 1 > /proc/sys/kernel/panic");
            if plain {
                fixture = fixture.plain();
            }
            fixture.options.no_pivot = true;
            let text = fixture.says();
            assert!(text.contains("bin\n"), "{text}");
            assert!(text.contains("/proc/sys/kernel/panic: Read-only file system"), "{text}");
            // Beneath the root there is no way to a /proc or a /sys that is not the container's.
            let (mut container, _reader) = {
                fixture.process().args[2] = "sleep 100".into();
                fixture.create_piped().unwrap()
            };
            container.start().unwrap();
            let seen = fs::read_to_string(format!("/proc/{}/mountinfo", container.pid())).unwrap();
            container.delete().unwrap();
            let kernel = |line: &&str| line.contains(" - proc ") || line.contains(" - sysfs ");
            let points: Vec<_> =
                seen.lines().filter(kernel).map(|line| line.split(' ').nth(4).unwrap()).collect();
            // The container's own and its read-only parts.
            assert!(
                points.iter().all(|point| point.starts_with("/proc") || point.starts_with("/sys")),
                "{seen}"
            );
            assert_eq!(points.iter().filter(|point| **point == "/proc").count(), 1, "{seen}");
            assert_eq!(points.iter().filter(|point| **point == "/sys").count(), 1, "{seen}");
        }
    }
    assert!(
        Path::new("/proc/self").exists() && Path::new("/sys/kernel").exists(),
        "the host's are untouched"
    );
}

/// Hooks before the old root is given up reach the new one at its directory, and what they mount there stays.
fn hooks() {
    let mut fixture = Fixture::privileged("cat /from-hook /srv/mounted").plain();
    fs::write(fixture.path("text"), "mounted\n").unwrap();
    fs::write(fixture.inside("srv/mounted"), "").unwrap();
    let script = format!(
        "echo made > {0}/from-hook; umask >> {0}/from-hook; mount --bind {1} {0}/srv/mounted",
        fixture.path("bundle/rootfs").display(),
        fixture.path("text").display()
    );
    let hook = Hook {
        path: "/bin/sh".into(),
        args: ["sh", "-c", &script].map(str::to_owned).to_vec(),
        env: vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".into()],
        ..Hook::default()
    };
    fixture.spec.hooks = Some(Hooks { create_container: vec![hook], ..Hooks::default() });
    let old = rustix::process::umask(0o027.into());
    let text = fixture.says();
    rustix::process::umask(old);
    assert_eq!(text, "made\n0027\nmounted\n");
}

fn propagation() {
    with_own_mounts(|| {
        mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC).unwrap();
        let count = || fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
        let before = count();
        for fixture in [Fixture::new, Fixture::privileged] {
            let mut fixture = fixture("cat /proc/self/mountinfo; mount -t tmpfs none /srv").plain();
            let capabilities = fixture.process().capabilities.as_mut().unwrap();
            for set in [&mut capabilities.bounding, &mut capabilities.effective, &mut capabilities.permitted]
            {
                set.push("CAP_SYS_ADMIN".into());
            }
            for word in ["", "shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable"] {
                fixture.linux().rootfs_propagation = Some(word.into());
                let text = fixture.says();
                let root = text.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
                let tags: Vec<_> = root.split(' ').skip(6).take_while(|tag| *tag != "-").collect();
                let has = |tag: &str| tags.iter().any(|found| found.starts_with(tag));
                assert_eq!(has("shared:"), word.ends_with("shared"), "{word}: {root}");
                assert_eq!(has("unbindable"), word == "unbindable", "{word}: {root}");
                assert!(!has("master:") || !word.ends_with("private"), "{word}: {root}");
                assert_eq!(count(), before, "{word}: the host has new mounts");
            }
        }
        // A volume that is to be shared both ways is.
        let mut fixture = Fixture::privileged("mount -t tmpfs none /v/sub && echo done; sleep 100");
        let capabilities = fixture.process().capabilities.as_mut().unwrap();
        for set in [&mut capabilities.bounding, &mut capabilities.effective, &mut capabilities.permitted] {
            set.push("CAP_SYS_ADMIN".into());
        }
        fs::create_dir_all(fixture.path("vol/sub")).unwrap();
        fixture.linux().rootfs_propagation = Some("shared".into());
        let volume = fixture.path("vol");
        fixture.spec.mounts.push(bind(&volume, "/v", "rbind,rshared"));
        let (mut container, mut reader) = fixture.create_piped().unwrap();
        container.start().unwrap();
        let mut said = [0; 5];
        std::io::Read::read_exact(&mut reader, &mut said).unwrap();
        assert_eq!(&said, b"done\n");
        let seen = count();
        container.delete().unwrap();
        rustix::mount::unmount(volume.join("sub"), rustix::mount::UnmountFlags::DETACH).unwrap();
        assert_eq!(seen, before + 1);
    });
}

fn mask() {
    let mut fixture = Fixture::privileged("stat -c '%a %n' /made /made/deep /dev/null /file").plain();
    fs::write(fixture.path("f"), "").unwrap();
    let volume = fixture.path("vol");
    fs::create_dir(&volume).unwrap();
    fixture.spec.mounts.push(bind(&volume, "/made/deep/er", "bind"));
    let mut bound = bind(&fixture.path("f"), "/file", "bind");
    bound.options.push("ro".into());
    fixture.spec.mounts.push(bound);
    let old = rustix::process::umask(0o077.into());
    let text = fixture.says();
    rustix::process::umask(old);
    assert!(text.starts_with("755 /made\n755 /made/deep\n666 /dev/null\n"), "{text}");
}

const USER: u32 = 54_321;

/// Runs it as an ordinary user, who has nothing but the files of this fixture.
fn as_user(mut fixture: Fixture, work: impl FnOnce(&mut Fixture)) {
    // Its own control group is none that it may do anything with.
    fixture.options.rootless = true;
    fixture.linux().cgroups_path = None;
    let directory = fixture.directory.path();
    let owned =
        std::process::Command::new("chown").args(["-R", &format!("{USER}:{USER}")]).arg(directory).status();
    assert!(owned.unwrap().success());
    let child = sampan_sys::clone::clone(rustix::thread::UnshareFlags::empty(), None, || {
        let (uid, gid) = (rustix::process::Uid::from_raw(USER), rustix::process::Gid::from_raw(USER));
        rustix::thread::set_thread_groups(&[]).unwrap();
        rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        // Or its own files in /proc would be root's.
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable).unwrap();
        work(&mut fixture);
        0
    })
    .unwrap();
    assert_eq!(crate::support::wait(std::os::fd::AsFd::as_fd(&child.pidfd)), 0);
}

fn map(fixture: &mut Fixture, ranges: &[(u32, u32, u32)]) {
    let ranges: Vec<_> = ranges
        .iter()
        .map(|&(container_id, host_id, size)| IdMapping { container_id, host_id, size })
        .collect();
    (fixture.linux().uid_mappings, fixture.linux().gid_mappings) = (ranges.clone(), ranges);
}

/// Who has no rights has those of the user namespace alone: nothing is made beforehand, and no ids are mapped.
fn ordinary_user() {
    let script = "id -u; touch /x; cat /v; stat -c %t:%T /dev/null; ls -d /sys/kernel /proc/1";
    let mut fixture = Fixture::new(script).plain();
    // Group 5 has no name there, which the default mount of devpts asks for.
    map(&mut fixture, &[(0, USER, 1)]);
    fs::write(fixture.path("f"), "text\n").unwrap();
    let file = fixture.path("f");
    fixture.spec.mounts.push(bind(&file, "/v", "bind,ro"));
    as_user(fixture, |fixture| {
        assert_eq!(fixture.says(), "0\ntext\n1:3\n/proc/1\n/sys/kernel\n");
        assert!(fixture.inside("x").exists());
        let bundle = fixture.path("bundle");
        fixture.spec.mounts.push(bind(&bundle, "/mapped", "bind,idmap"));
        let error = fixture.run().unwrap_err();
        assert!(error.causes().join(": ").ends_with("an ordinary user cannot map ids"), "{error:?}");
    });
}

/// Further ids come from newuidmap and newgidmap.
fn range_of_ids() {
    if !Path::new("/usr/bin/newuidmap").exists() {
        println!("skipped here: newuidmap is not installed (package uidmap)");
        return;
    }
    with_own_mounts(|| {
        let mut fixture = Fixture::new("chown 7 /x; stat -c %u /x; cat /proc/self/gid_map").plain();
        map(&mut fixture, &[(0, USER, 1), (1, 700_000, 100)]);
        for (file, text) in [
            ("passwd", format!("root:x:0:0::/:/bin/sh\nsampan:x:{USER}:{USER}::/:/bin/sh\n")),
            ("subuid", "sampan:700000:100\n".into()),
            ("subgid", "sampan:700000:100\n".into()),
        ] {
            fs::write(fixture.path(file), text).unwrap();
            rustix::mount::mount_bind(fixture.path(file), Path::new("/etc").join(file)).unwrap();
        }
        fs::write(fixture.inside("x"), "").unwrap();
        as_user(fixture, |fixture| {
            let (mut container, reader) = fixture.create_piped().unwrap();
            container.start().unwrap();
            let text = crate::support::end(container.pidfd().unwrap(), reader).text;
            container.delete().unwrap();
            let words: Vec<_> = text.split_ascii_whitespace().collect();
            assert_eq!(words, ["7", "0", "54321", "1", "1", "700000", "100"]);
            map(fixture, &[(0, USER, 1), (1, 900_000, 100)]);
            let error = fixture.create_piped().map(drop).unwrap_err();
            assert_eq!(error.to_string(), "cannot map ids with newuidmap");
            assert!(error.causes()[0].contains("not allowed"), "{error:?}");
            assert_eq!(
                error.remedy(),
                Some("give the user a range in /etc/subuid and /etc/subgid, or map its own id alone")
            );
        });
        for file in ["passwd", "subuid", "subgid"] {
            rustix::mount::unmount(Path::new("/etc").join(file), rustix::mount::UnmountFlags::DETACH)
                .unwrap();
        }
    });
}
