//! Images and neighbours that mean harm.

use crate::{
    Test,
    support::{Fixture, bind, mount},
};
use rustix::fs::{FileType, Mode, RenameFlags};
use sampan_runtime::Stdio;
use std::{
    fs,
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, symlink},
    },
    path::Path,
};

pub(crate) const TESTS: &[Test] = &[
    ("rootfs_hostile_links_for_the_kernel_s_trees", kernel_trees),
    ("rootfs_hostile_mounts_in_proc", in_proc),
    ("rootfs_hostile_links_in_dev", dev),
    ("rootfs_hostile_pipes_and_devices", pipes),
    ("rootfs_hostile_neighbour_swaps_directories", races),
    ("rootfs_hostile_console", console),
    ("rootfs_hostile_descriptors", descriptors),
];

/// `/proc`, `/sys` and the message queues are where their names say (CVE-2019-16884, CVE-2023-27561).
fn kernel_trees() {
    for fixture in [Fixture::new, Fixture::privileged] {
        for (link, path) in [("proc", "/proc"), ("sys", "/sys")] {
            for to in ["/etc", "etc", "/none", "../../../etc", "/proc/self/root"] {
                let fixture = fixture("true");
                symlink(to, fixture.path("layer").join(link)).unwrap();
                let error = fixture.run().unwrap_err();
                let text = format!("{error}: {}", error.causes().join(": "));
                let expected = format!("filesystem of {path} must be mounted on ordinary directory");
                assert!(text.contains(&expected), "{link} to {to}: {text}");
                fixture.assert_nothing_left();
            }
        }
        let fixture = fixture("true");
        fs::write(fixture.path("layer/proc"), "").unwrap();
        let error = fixture.run().unwrap_err();
        assert!(format!("{error:?}").contains("must be mounted on ordinary directory"), "{error:?}");
    }
}

/// Nothing is put in the place of what programs trust, by whatever name (CVE-2019-16884).
fn in_proc() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let mut fixture = fixture("cat /proc/uptime");
        symlink("/proc/self", fixture.path("layer/link")).unwrap();
        fs::write(fixture.path("f"), "1 2\n").unwrap();
        let (bundle, file) = (fixture.path("bundle"), fixture.path("f"));
        for (path, why) in [
            ("/proc/self/attr", "\"/proc/self/attr\" cannot be mounted because it is inside /proc"),
            ("/link/attr", "\"/link/attr\" cannot be mounted because it is inside /proc"),
            ("/proc/sys/kernel", "\"/proc/sys/kernel\" cannot be mounted because it is inside /proc"),
            ("/proc/1/ns", "\"/proc/1/ns\" cannot be mounted because it is inside /proc"),
            ("/proc", "\"/proc\" cannot be mounted because it is not of type proc"),
        ] {
            fixture.spec.mounts.push(bind(&bundle, path, "rbind"));
            let error = fixture.run().unwrap_err();
            let text = format!("{error}: {}", error.causes().join(": "));
            assert!(text.contains(why), "{text}");
            fixture.spec.mounts.pop();
        }
        fixture.spec.mounts.push(mount("/proc/fs", "tmpfs", "rw"));
        assert!(fixture.run().is_err());
        fixture.spec.mounts.pop();
        // A view of its own is no harm.
        fixture.spec.mounts.push(bind(&file, "/proc/uptime", "bind"));
        assert_eq!(fixture.says(), "1 2\n");
    }
}

fn dev() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let fixture = fixture("ls -d /dev/null /dev/pts/ptmx; stat -c %t:%T /dev/null");
        let outside = fixture.path("outside");
        fs::create_dir(&outside).unwrap();
        // A link for /dev leads to a directory inside, wherever it points.
        symlink(&outside, fixture.path("layer/dev")).unwrap();
        assert_eq!(fixture.says(), "/dev/null\n/dev/pts/ptmx\n1:3\n");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "nothing is made on the host");
    }
    // Without a mount on /dev, links in it are not written through.
    let mut fixture = Fixture::privileged("true").plain();
    fixture.spec.mounts.clear();
    let victim = fixture.path("victim");
    fs::write(&victim, "").unwrap();
    let before = fs::metadata(&victim).unwrap();
    symlink(&victim, fixture.inside("dev/null")).unwrap();
    let error = fixture.run().unwrap_err();
    assert!(format!("{error:?}").contains("another file is in its place"), "{error:?}");
    let after = fs::metadata(&victim).unwrap();
    assert_eq!((before.mode(), before.uid()), (after.mode(), after.uid()));
    // Nor is a directory that a link stands for.
    let mut fixture = Fixture::privileged("true").plain();
    fixture.spec.mounts.clear();
    fs::remove_dir(fixture.inside("dev")).unwrap();
    let outside = fixture.path("outside");
    fs::create_dir(&outside).unwrap();
    symlink("../../outside", fixture.inside("dev")).unwrap();
    fixture.run().unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

/// Nothing of the image is opened for more than a look: a pipe would make the runtime wait, a device could do anything.
fn pipes() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let mut fixture = fixture("cat /etc/hosts /etc/null /etc/secret; stat -c %F /t/pipe");
        let layer = fixture.path("layer");
        let make = |name: &str, kind, number| {
            rustix::fs::mknodat(rustix::fs::CWD, layer.join(name), kind, Mode::from_raw_mode(0o666), number)
                .unwrap();
        };
        fs::create_dir(layer.join("t")).unwrap();
        make("etc/hosts", FileType::Fifo, 0);
        make("etc/null", FileType::CharacterDevice, rustix::fs::makedev(1, 5));
        make("etc/secret", FileType::Fifo, 0);
        make("t/pipe", FileType::Fifo, 0);
        fs::write(fixture.path("f"), "text\n").unwrap();
        let file = fixture.path("f");
        fixture.spec.mounts.extend([
            bind(&file, "/etc/hosts", "bind,ro"),
            bind(&file, "/etc/null", "bind,ro"),
            mount("/t", "tmpfs", "tmpcopyup"),
        ]);
        fixture.linux().masked_paths.push("/etc/secret".into());
        fixture.linux().readonly_paths.push("/etc/hosts".into());
        assert_eq!(fixture.says(), "text\ntext\nfifo\n");
    }
}

/// A neighbour with the same volume swaps a directory of it for a link while mounts are made on it (CVE-2021-30465). What is mounted
/// may land anywhere inside, never outside; and the host's files are as they were.
fn races() {
    let mut fixture = Fixture::privileged("true").plain();
    let volume = fixture.path("vol");
    let outside = fixture.path("outside");
    for path in [volume.join("d"), outside.clone(), fixture.path("more")] {
        fs::create_dir_all(path).unwrap();
    }
    fs::write(outside.join("keep"), "kept").unwrap();
    let up = "../".repeat(20);
    symlink(format!("{up}{}", outside.display()), volume.join("l")).unwrap();
    let more = fixture.path("more");
    fixture.spec.mounts.push(bind(&volume, "/vol", "bind"));
    for number in 0..8 {
        fixture.spec.mounts.push(bind(&more, &format!("/vol/d/m{number}"), "bind"));
        fixture.spec.mounts.push(mount(&format!("/vol/d/t{number}"), "tmpfs", "size=4k"));
    }
    fixture.linux().masked_paths = vec!["/vol/d/keep".into(), "/vol/d".into()];
    fixture.linux().readonly_paths = vec!["/vol/d".into()];
    let swapper = sampan_sys::clone::clone(rustix::thread::UnshareFlags::empty(), None, || {
        let volume = fs::File::open(&volume).unwrap();
        loop {
            let _ = rustix::fs::renameat_with(&volume, "d", &volume, "l", RenameFlags::EXCHANGE);
        }
    })
    .unwrap();
    let mut made = 0;
    for _ in 0..60 {
        // It may be refused, for a name that is gone in between, but never for a wrong reason.
        match fixture.run() {
            Ok(_) => made += 1,
            Err(error) => {
                let text = format!("{error:?} {:?}", error.causes());
                assert!(text.contains("/vol/d") || text.contains("vol/d"), "{text}");
                fixture.assert_nothing_left();
            }
        }
        let names: Vec<_> = fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["keep"], "something was made outside");
    }
    rustix::process::pidfd_send_signal(&swapper.pidfd, rustix::process::Signal::KILL).unwrap();
    crate::support::wait(swapper.pidfd.as_fd());
    assert!(made > 0, "the race was never run to its end");
    assert_eq!(fs::read_to_string(outside.join("keep")).unwrap(), "kept");
}

/// `/dev/console` is the terminal itself, on what has that name (CVE-2025-52565).
fn console() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let mut fixture = fixture("stat -c %t /dev/console; cat /etc/passwd > /dev/console");
        // Mapped to a place that must not be written, by an image that has its own /dev.
        fs::create_dir(fixture.path("layer/dev")).unwrap();
        symlink("/etc/passwd", fixture.path("layer/dev/console")).unwrap();
        fixture.spec.mounts.retain(|mount| mount.destination != Path::new("/dev"));
        for name in ["pts", "shm", "mqueue"] {
            fs::create_dir(fixture.path("layer/dev").join(name)).unwrap();
        }
        fixture.process().terminal = true;
        let mut container = fixture.create(Stdio::Console { size: None }).unwrap();
        container.start().unwrap();
        let master = container.take_console();
        let code = crate::support::wait(container.pidfd().unwrap());
        let text = master.map(read_all).unwrap_or_default();
        container.delete().unwrap();
        assert_eq!(code, 0, "{text}");
        assert!(text.starts_with("88\r\nroot:x:0:0"), "{text:?}");
    }
    // A devpts that is none is refused before it is used.
    let mut fixture = Fixture::privileged("true");
    fs::create_dir_all(fixture.path("pts")).unwrap();
    fs::write(fixture.path("pts/ptmx"), "").unwrap();
    fixture.spec.mounts.retain(|mount| mount.destination != Path::new("/dev/pts"));
    fixture.spec.mounts.push(bind(&fixture.path("pts"), "/dev/pts", "bind"));
    fixture.process().terminal = true;
    let error = fixture.create(Stdio::Console { size: None }).map(drop).unwrap_err();
    assert_eq!(error.causes(), ["/dev/pts of the container is no devpts"]);
    fixture.assert_nothing_left();
}

fn read_all(master: std::os::fd::OwnedFd) -> String {
    let mut text = Vec::new();
    // The last read of a terminal whose other end is closed fails.
    let _ = std::io::Read::read_to_end(&mut fs::File::from(master), &mut text);
    String::from_utf8(text).unwrap()
}

/// No descriptor of the host's is left for the program, also none that a path of the specification names (CVE-2024-21626).
fn descriptors() {
    let leak = fs::File::open("/").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    for fixture in [Fixture::new, Fixture::privileged] {
        let mut fixture = fixture("ls /proc/self/fd");
        let text = fixture.says();
        // Its own look at the directory is the fourth.
        assert_eq!(text, "0\n1\n2\n3\n");
        for number in 3..12 {
            fixture.process().cwd = format!("/proc/self/fd/{number}");
            assert!(fixture.run().is_err(), "{number} leads somewhere");
        }
    }
    drop(leak);
}
