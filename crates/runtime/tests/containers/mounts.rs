//! Mounts: where they land, whose the files are, what an image cannot make of them.

use crate::{
    Test,
    support::{Fixture, HOST_ID, bind, mount},
};
use sampan_types::{Mount, spec::IdMapping};
use std::{
    fs,
    os::unix::fs::{MetadataExt, chown, symlink},
    path::PathBuf,
};

pub(crate) const TESTS: &[Test] = &[
    ("mount_bound_files_and_directories", binds),
    ("mount_ids_are_mapped", idmap),
    ("mount_targets_stay_inside", targets),
    ("mount_the_pool_is_not_seen", pool),
    ("mount_root_variants", roots),
    ("mount_propagates_nothing_to_the_host", propagation),
    ("mount_options", options),
];

fn binds() {
    let mut fixture = Fixture::new("");
    fs::create_dir(fixture.path("vol")).unwrap();
    fs::write(fixture.path("hosts"), "127.0.0.1 here\n").unwrap();
    let volume = fixture.path("vol");
    fixture.spec.mounts.push(bind(&fixture.path("hosts"), "/etc/hosts", "ro"));
    fixture.spec.mounts.push(bind(&volume, "/srv/deep/data", "rw,idmap"));
    fixture.spec.mounts.push(bind(&volume, "/ro", "ro,noexec,idmap"));
    fixture.process().args[2] =
        "cat /etc/hosts; echo > /etc/hosts; echo x > /srv/deep/data/f; stat -c %u /ro/f; touch /ro/g".into();
    let ended = fixture.run().unwrap();
    assert!(ended.text.starts_with("127.0.0.1 here\n"), "{}", ended.text);
    assert!(ended.text.contains("can't create /etc/hosts: Read-only file system\n0\n"), "{}", ended.text);
    assert!(ended.text.ends_with("touch: /ro/g: Read-only file system\n"), "{}", ended.text);
    assert_eq!(fs::metadata(volume.join("f")).unwrap().uid(), 0, "on disk it is root's");
}

fn idmap() {
    let mut fixture = Fixture::new("stat -c %u:%g /own/f /plain/f /inner/f");
    let volume = fixture.path("vol");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("f"), "").unwrap();
    chown(volume.join("f"), Some(1000), Some(1000)).unwrap();
    let mut own = bind(&volume, "/own", "bind");
    // 1000 on disk is what the container calls 5.
    let mapping = vec![IdMapping { container_id: 1000, host_id: HOST_ID + 5, size: 1 }];
    (own.uid_mappings, own.gid_mappings) = (mapping.clone(), mapping);
    fixture.spec.mounts.extend([
        own,
        bind(&volume, "/plain", "bind"),
        bind(&volume, "/inner", "rbind,ridmap"),
    ]);
    let ended = fixture.run().unwrap();
    assert_eq!(ended.text, "5:5\n65534:65534\n1000:1000\n");
}

fn targets() {
    let mut fixture = Fixture::new("cat /etc/link/f; ls /made");
    let volume = fixture.path("vol");
    fs::create_dir(&volume).unwrap();
    fs::write(volume.join("f"), "text\n").unwrap();
    let outside = fixture.path("outside");
    // An image whose links point at the host.
    symlink(&outside, fixture.path("layer/etc/link")).unwrap();
    symlink("../../../../../../made", fixture.path("layer/up")).unwrap();
    fixture.spec.mounts.push(bind(&volume, "/etc/link", "ro"));
    fixture.spec.mounts.push(bind(&volume, "/up", "ro"));
    let ended = fixture.run().unwrap();
    assert_eq!(ended.text, "text\nf\n");
    assert!(!outside.exists());
    // The kernel's own trees are not led elsewhere.
    let fixture = Fixture::new("true");
    symlink("/etc", fixture.path("layer/proc")).unwrap();
    let error = fixture.run().unwrap_err();
    assert!(format!("{error:?}").contains("/proc must be mounted on ordinary directory"), "{error:?}");
    fixture.assert_nothing_left();
}

fn pool() {
    for mut fixture in [Fixture::new(""), Fixture::privileged("")] {
        fixture.process().args[2] = "cat /proc/self/mountinfo; ls -a /..".into();
        let ended = fixture.run().unwrap();
        let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mounts: Vec<_> = ended.text.lines().map(fields).filter(|fields| fields.len() > 5).collect();
        assert_eq!(mounts.iter().filter(|fields| fields[4] == "/").count(), 1, "{}", ended.text);
        let pool = fixture.directory.path().to_str().unwrap();
        assert!(mounts.iter().all(|fields| !fields[3].starts_with(pool)), "{}", ended.text);
        assert!(ended.text.contains(" - overlay overlay rw,"), "{}", ended.text);
    }
}

fn roots() {
    let script = "cat /etc/passwd | head -n 1; touch /x";
    let mut fixture = Fixture::new(script);
    let layer = fixture.path("layer");
    fs::create_dir(fixture.path("top")).unwrap();
    fs::write(fixture.path("top/new"), "").unwrap();
    let read_only = "root:x:0:0:root:/root:/bin/sh\ntouch: /x: Read-only file system\n";
    for name in ["proc", "sys", "dev"] {
        fs::create_dir_all(layer.join(name)).unwrap();
    }
    // A view of layers, a view of one layer, a directory.
    let both = vec![fixture.path("top"), layer.clone()];
    fixture.rootfs = Some(Mount::Overlay { lower: both, upper: None, work: None });
    assert_eq!(fixture.run().unwrap().text, read_only);
    fixture.rootfs = Some(Mount::Bind { source: layer.clone(), read_only: false });
    assert_eq!(fixture.run().unwrap().code, 0);
    assert_eq!(fs::metadata(layer.join("x")).unwrap().uid(), 0);
    fixture.rootfs = Some(Mount::Overlay { lower: vec![layer.clone()], upper: None, work: None });
    assert_eq!(fixture.run().unwrap().text, read_only);
    // The specification's own, relative to the bundle, ids as they are.
    let mut fixture = Fixture::privileged(script);
    fs::rename(fixture.path("layer"), fixture.path("bundle/rootfs")).unwrap();
    fixture.rootfs = None;
    fixture.spec.root = Some(sampan_types::spec::Root { path: PathBuf::from("rootfs"), readonly: false });
    assert_eq!(fixture.run().unwrap().code, 0);
    assert!(fixture.path("bundle/rootfs/x").exists());
}

/// On a host where everything is shared, as systemd has it: in a copy of this process in a mount namespace of its own.
fn propagation() {
    let child = sampan_sys::clone::clone(rustix::thread::UnshareFlags::NEWNS, None, || {
        use rustix::mount::{MountPropagationFlags, mount_change};
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC).unwrap();
        propagates_nothing();
        // Named by this process.
        crate::support::remove_cgroups();
        0
    })
    .unwrap();
    assert_eq!(crate::support::wait(std::os::fd::AsFd::as_fd(&child.pidfd)), 0);
}

fn propagates_nothing() {
    let count = || fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
    let before = count();
    let fixture = Fixture::privileged("sleep 100");
    let (container, _reader) = fixture.create_piped().unwrap();
    assert_eq!(count(), before);
    container.delete().unwrap();
    for word in ["shared", "rslave", "private", "unbindable"] {
        let mut fixture = Fixture::privileged("head -n 1 /proc/self/mountinfo");
        fixture.linux().rootfs_propagation = Some(word.into());
        let ended = fixture.run().unwrap();
        assert_eq!(ended.text.contains("shared:"), word == "shared", "{word}: {}", ended.text);
        assert_eq!(ended.text.contains("unbindable"), word == "unbindable", "{word}: {}", ended.text);
        assert_eq!(count(), before, "{word}");
    }
}

fn options() {
    let mut fixture = Fixture::new(
        "mount | grep ' on /t '; cat /t/f; stat -c %a /t /m; touch /m/x; mount | grep ' on /m '",
    );
    fs::create_dir(fixture.path("layer/t")).unwrap();
    fs::write(fixture.path("layer/t/f"), "copied\n").unwrap();
    fixture.spec.mounts.push(mount("/t", "tmpfs", "noexec,nodev,noatime,tmpcopyup,size=1m"));
    fixture.spec.mounts.push(mount("/m", "tmpfs", "ro,mode=711"));
    let ended = fixture.run().unwrap();
    let lines: Vec<_> = ended.text.lines().collect();
    assert!(lines[0].contains("nodev,noexec,noatime"), "{lines:?}");
    assert_eq!(lines[1..4], ["copied", "755", "711"]);
    assert_eq!(lines[4], "touch: /m/x: Read-only file system");
    assert!(lines[5].contains("(ro,"), "{lines:?}");
}
