//! `/dev`.

use crate::{
    Test,
    support::{Fixture, bind},
};
use sampan_types::spec::Device;
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

pub(crate) const TESTS: &[Test] = &[
    ("rootfs_devices_by_default", defaults),
    ("rootfs_devices_of_the_specification", further),
    ("rootfs_devices_that_are_there", present),
    ("rootfs_devices_refused", refused),
    ("rootfs_devices_of_a_bound_dev", bound_dev),
];

fn device(path: &str, kind: &str, (major, minor): (i64, i64)) -> Device {
    Device { path: path.into(), kind: kind.into(), major, minor, ..Device::default() }
}

fn defaults() {
    for fixture in [Fixture::new, Fixture::privileged] {
        let fixture = fixture(
            "for d in null zero full random urandom tty; do stat -c '%a %t:%T %n' /dev/$d; done; \
             for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done; echo out > /dev/stdout",
        );
        let text = fixture.says();
        let nodes = "666 1:3 /dev/null\n666 1:5 /dev/zero\n666 1:7 /dev/full\n666 1:8 /dev/random\n\
                     666 1:9 /dev/urandom\n666 5:0 /dev/tty\n";
        let links = "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n";
        assert_eq!(text, format!("{nodes}{links}out\n"));
    }
}

fn further() {
    let mut fixture =
        Fixture::privileged("stat -c '%F %a %u:%g %t:%T' /dev/c /dev/b /dev/u /dev/p /dev/tty /deep/er");
    let owned = |mut device: Device, mode: u32| {
        (device.file_mode, device.uid, device.gid) = (Some(mode), Some(12), Some(34));
        device
    };
    fixture.linux().devices = vec![
        owned(device("/dev/c", "c", (10, 229)), 0o640),
        owned(device("/dev/b/", "b", (8, 666)), 0o1620),
        device("/dev/u", "u", (1, 3)),
        owned(device("/dev/p", "p", (0, 0)), 0o600),
        // Default ones are allowed, with a mode of their own.
        owned(device("/dev/tty", "c", (5, 0)), 0o622),
        device("/dev/ptmx", "c", (5, 2)),
        device("/deep/er", "c", (1, 5)),
    ];
    assert_eq!(
        fixture.says(),
        "character special file 640 12:34 a:e5\nblock special file 1620 12:34 8:29a\n\
         character special file 666 0:0 1:3\nfifo 600 12:34 0:0\ncharacter special file 622 12:34 5:0\n\
         character special file 666 0:0 1:5\n"
    );
    // In a user namespace the host's are shown, and pipes made.
    let mut fixture =
        Fixture::new("stat -c '%F %a %t:%T' /dev/full2 /dev/p; echo x > /dev/full; echo > /dev/full2");
    fixture.linux().devices =
        vec![owned(device("/dev/p", "p", (0, 0)), 0o600), device("/dev/full", "c", (1, 7))];
    fixture.spec.mounts.push(bind(Path::new("/dev/full"), "/dev/full2", "bind"));
    let text = fixture.says();
    assert!(text.starts_with("character special file 666 1:7\nfifo 600 0:0\n"), "{text}");
    assert_eq!(text.matches("No space left on device").count(), 2, "{text}");
}

fn present() {
    let mut fixture =
        Fixture::privileged("stat -c '%a %u' /dev/null /dev/x; readlink /dev/ptmx; readlink /dev/fd").plain();
    fixture.spec.mounts.retain(|mount| mount.destination == Path::new("/proc"));
    let make = |name: &str, (major, minor)| {
        let number = rustix::fs::makedev(major, minor);
        let kind = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(rustix::fs::CWD, fixture.inside(name), kind, 0o600.into(), number).unwrap();
    };
    make("dev/null", (1, 3));
    make("dev/x", (1, 5));
    fs::write(fixture.inside("dev/ptmx"), "the image's").unwrap();
    symlink("elsewhere", fixture.inside("dev/fd")).unwrap();
    let mut x = device("/dev/x", "c", (1, 5));
    (x.file_mode, x.uid) = (Some(0o604), Some(9));
    fixture.linux().devices = vec![x];
    assert_eq!(fixture.says(), "666 0\n604 9\npts/ptmx\nelsewhere\n");
    // On disk, this being the image's own directory.
    let mode = fs::metadata(fixture.inside("dev/x")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o604);
}

fn refused() {
    let refusal = |fixture: &Fixture| {
        let error = fixture.run().unwrap_err();
        format!("{error}: {}", error.causes().join(": "))
    };
    let mut fixture = Fixture::privileged("true");
    for (kind, numbers, why) in [
        ("p", (8, 666), "a pipe has no numbers, and these are 8:666"),
        ("x", (1, 3), "\"x\" is no type of a device: c, b, u or p"),
        ("c", (-1, 3), "no device has the numbers -1:3"),
    ] {
        fixture.linux().devices = vec![device("/dev/x", kind, numbers)];
        let expected = format!("cannot make the device /dev/x: invalid device: {why}");
        assert_eq!(refusal(&fixture), expected);
    }
    // Another device, a file, a link to the right device: what is opened must be what was asked for.
    let mut fixture = Fixture::privileged("true").plain();
    fixture.spec.mounts.clear();
    fixture.linux().devices = vec![device("/dev/x", "c", (1, 3))];
    let expected = "cannot make the device /dev/x: invalid device: another file is in its place";
    let path = fixture.inside("dev/x");
    let number = rustix::fs::makedev(1, 5);
    let kind = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, 0o666.into(), number).unwrap();
    assert_eq!(refusal(&fixture), expected);
    fs::remove_file(&path).unwrap();
    symlink("null", &path).unwrap();
    assert_eq!(refusal(&fixture), expected);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    assert_eq!(refusal(&fixture), expected);
    // The host's node is not what the specification says.
    let mut fixture = Fixture::new("true");
    fixture.linux().devices = vec![device("/dev/zero", "c", (1, 3))];
    assert_eq!(
        refusal(&fixture),
        "cannot make the device /dev/zero: invalid device: the host has another file in its place"
    );
    fixture.assert_nothing_left();
}

fn bound_dev() {
    // The host's /dev has all that it needs, and nothing is made in it.
    let mut fixture = Fixture::privileged("stat -c %t:%T /dev/null; ls -d /dev/sampan-none");
    fixture.spec.mounts.retain(|mount| !mount.destination.starts_with("/dev"));
    fixture.spec.mounts.push(bind(Path::new("/dev"), "/dev", "rbind"));
    fixture.linux().devices = vec![device("/dev/sampan-none", "c", (1, 3))];
    assert_eq!(fixture.says(), "1:3\nls: /dev/sampan-none: No such file or directory\n");
    assert!(!Path::new("/dev/sampan-none").exists());
}
