//! `/dev`: the nodes and links that the specification promises (config-linux.md, "Default Devices"), and further ones.

use super::{
    mounts::{Rootfs, attach, relative},
    options::Bind,
    target::{self, Missing},
    trees,
};
use crate::error::{Cannot, invalid};
use rustix::{
    fs::{FileType, Gid, Mode, OFlags, Uid, makedev},
    io::Errno,
};
use sampan_types::{Result, spec::Device};
use std::{
    ffi::OsStr,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

/// Name, major and minor number.
const DEFAULT: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// How nodes come into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nodes {
    /// mknod(2).
    Made,
    /// The host's are bound: a user namespace may not make any.
    Bound,
}

/// Fills `/dev` with the default nodes and links, then makes the others.
pub(crate) fn populate(rootfs: &mut Rootfs<'_>, devices: &[Device], nodes: Nodes) -> Result<()> {
    let dev = target::open_or_create(rootfs.root.as_fd(), Path::new("dev"), Missing::Directory)?;
    for (name, major, minor) in DEFAULT {
        let device = Device {
            path: PathBuf::from("/dev").join(name),
            kind: "c".into(),
            major: major.into(),
            minor: minor.into(),
            ..Device::default()
        };
        place(&dev, OsStr::new(name), &device, nodes)?;
    }
    for (to, name) in LINKS {
        link(&dev, to, name)?;
    }
    for device in devices {
        let path = relative(&device.path);
        let redundant = path == Path::new("dev/ptmx")
            || DEFAULT
                .iter()
                .any(|(name, ..)| path.strip_prefix("dev").is_ok_and(|rest| rest == Path::new(name)));
        if !redundant {
            let (parent, name) = target::open_parent(rootfs.root.as_fd(), path)?;
            place(&parent, name, device, nodes)?;
        }
    }
    Ok(())
}

fn place(parent: &OwnedFd, name: &OsStr, device: &Device, nodes: Nodes) -> Result<()> {
    let name = name.as_bytes();
    let made = match nodes {
        Nodes::Made => make(parent, name, device),
        Nodes::Bound => bind(parent, name, device),
    };
    made.map_err(|error| {
        sampan_types::Error::new(error.kind(), format!("cannot make the device {}", device.path.display()))
            .because(error)
    })
}

fn make(parent: &OwnedFd, name: &[u8], device: &Device) -> Result<()> {
    let kind = match device.kind.as_str() {
        "c" | "u" => FileType::CharacterDevice,
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        kind => {
            return Err(invalid("invalid device", format!("{kind:?} is no type of a device: c, b, u or p")));
        }
    };
    let (Ok(major), Ok(minor)) = (u32::try_from(device.major), u32::try_from(device.minor)) else {
        return Err(invalid(
            "invalid device",
            format!("no device has the numbers {}:{}", device.major, device.minor),
        ));
    };
    let mode = Mode::from_raw_mode(device.file_mode.unwrap_or(0o666) & 0o7777);
    match rustix::fs::mknodat(parent, name, kind, mode, makedev(major, minor)) {
        Ok(()) => {}
        // The image has one; it must be the right one, or what opens it gets something else.
        Err(Errno::EXIST) => {
            let stat = rustix::fs::statat(parent, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                .cannot(|| "inspect the file in its place".into())?;
            if FileType::from_raw_mode(stat.st_mode) != kind
                || (kind != FileType::Fifo && stat.st_rdev != makedev(major, minor))
            {
                return Err(invalid("invalid device", "another file is in its place"));
            }
        }
        Err(Errno::PERM) => return bind(parent, name, device),
        Err(errno) => return Err(errno).cannot(|| "make the node".into()),
    }
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    // The creation mask has taken bits of the mode away.
    rustix::fs::chmodat(parent, name, mode, rustix::fs::AtFlags::empty()).cannot(|| "set its mode".into())?;
    let owner = (device.uid.unwrap_or(0), device.gid.unwrap_or(0));
    if owner != (0, 0) {
        rustix::fs::chownat(parent, name, Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)), flags)
            .cannot(|| "set its owner".into())?;
    }
    Ok(())
}

/// Shows the host's node of the same path on an empty file.
fn bind(parent: &OwnedFd, name: &[u8], device: &Device) -> Result<()> {
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(parent, name, flags | OFlags::EXCL, Mode::from_raw_mode(0o666)) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno).cannot(|| "make the file to show it on".into()),
    }
    let target =
        rustix::fs::openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .cannot(|| "open the file to show it on".into())?;
    let tree = trees::clone(&device.path, Bind::One)?;
    attach(&tree, &target).cannot(|| format!("bind the host's {}", device.path.display()))
}

fn link(dev: &OwnedFd, to: &str, name: &str) -> Result<()> {
    match rustix::fs::symlinkat(to, dev, name) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => {
            // What an image has in its place must not keep the container from its own terminals.
            let same = rustix::fs::readlinkat(dev, name, Vec::new())
                .is_ok_and(|found| found.to_bytes() == to.as_bytes());
            if same || name != "ptmx" {
                return Ok(());
            }
            rustix::fs::unlinkat(dev, name, rustix::fs::AtFlags::empty())
                .and_then(|()| rustix::fs::symlinkat(to, dev, name))
                .cannot(|| format!("link /dev/{name}"))
        }
        Err(errno) => Err(errno).cannot(|| format!("link /dev/{name}")),
    }
}
