//! `/dev`: the nodes and links that the specification promises (config-linux.md, "Default Devices"), and further ones.

use super::{
    mounts::{Rootfs, attach, relative},
    options::Bind,
    target::{self, LastLink, Missing},
    trees,
};
use crate::error::{Cannot, invalid};
use rustix::{
    fs::{AtFlags, Dev, FileType, Gid, Mode, OFlags, Uid, makedev},
    io::Errno,
};
use sampan_types::{Error, Result, spec::Device};
use std::{
    ffi::OsStr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// Name, major and minor number of those that every container has.
pub(crate) const DEFAULT: [(&str, u32, u32); 6] =
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

/// What a node is to be.
#[derive(Debug, Clone, Copy)]
struct Node<'a> {
    path: &'a Path,
    kind: FileType,
    number: Dev,
    mode: Mode,
    owner: Option<(Uid, Gid)>,
}

/// Fills `/dev` with the default nodes and links, then makes the others, which may be default ones with another mode.
/// The creation mask must be empty.
pub(crate) fn populate(rootfs: &mut Rootfs<'_>, devices: &[Device], nodes: Nodes) -> Result<()> {
    let dev =
        target::open_or_create(rootfs.root.as_fd(), Path::new("dev"), Missing::Directory, LastLink::Follow)?;
    for (name, major, minor) in DEFAULT {
        if devices.iter().any(|device| is_in_dev(device, name)) {
            continue;
        }
        let node = Node {
            path: Path::new(name),
            kind: FileType::CharacterDevice,
            number: makedev(major, minor),
            mode: Mode::from_raw_mode(0o666),
            owner: None,
        };
        match nodes {
            Nodes::Made => node.make(&dev, OsStr::new(name)),
            Nodes::Bound => node.bind(&dev, OsStr::new(name), &Path::new("/dev").join(name)),
        }
        .map_err(|error| explain(error, &Path::new("/dev").join(name)))?;
    }
    LINKS.into_iter().try_for_each(|(to, name)| link(&dev, to, name))?;
    // As the host has it: `/proc/kcore` is a choice of the kernel's configuration.
    if rustix::fs::accessat(rustix::fs::CWD, "/proc/kcore", rustix::fs::Access::EXISTS, AtFlags::empty())
        .is_ok()
    {
        link(&dev, "/proc/kcore", "core")?;
    }
    for device in devices.iter().filter(|device| !is_in_dev(device, "ptmx")) {
        further(rootfs, device, nodes).map_err(|error| explain(error, &device.path))?;
    }
    Ok(())
}

fn explain(error: Error, path: &Path) -> Error {
    Error::new(error.kind(), format!("cannot make the device {}", path.display())).because(error)
}

fn is_in_dev(device: &Device, name: &str) -> bool {
    relative(&device.path).strip_prefix("dev").is_ok_and(|rest| rest == Path::new(name))
}

fn further(rootfs: &Rootfs<'_>, device: &Device, nodes: Nodes) -> Result<()> {
    let node = Node::read(device)?;
    let (parent, name) = target::open_parent(rootfs.root.as_fd(), relative(&device.path))?;
    match nodes {
        // A pipe is no device: everybody may make one.
        Nodes::Bound if node.kind != FileType::Fifo => node.bind(&parent, name, &device.path),
        _ => node.make(&parent, name),
    }
}

impl<'a> Node<'a> {
    fn read(device: &'a Device) -> Result<Self> {
        let kind = match device.kind.as_str() {
            "c" | "u" => FileType::CharacterDevice,
            "b" => FileType::BlockDevice,
            "p" => FileType::Fifo,
            kind => {
                let why = format!("{kind:?} is no type of a device: c, b, u or p");
                return Err(invalid("invalid device", why));
            }
        };
        let numbers = format!("{}:{}", device.major, device.minor);
        let (Ok(major), Ok(minor)) = (u32::try_from(device.major), u32::try_from(device.minor)) else {
            return Err(invalid("invalid device", format!("no device has the numbers {numbers}")));
        };
        if kind == FileType::Fifo && (major, minor) != (0, 0) {
            return Err(invalid("invalid device", format!("a pipe has no numbers, and these are {numbers}")));
        }
        let owner = (device.uid.is_some() || device.gid.is_some())
            .then(|| (Uid::from_raw(device.uid.unwrap_or(0)), Gid::from_raw(device.gid.unwrap_or(0))));
        Ok(Self {
            path: &device.path,
            kind,
            number: makedev(major, minor),
            mode: Mode::from_raw_mode(device.file_mode.unwrap_or(0o666) & 0o7777),
            owner,
        })
    }

    /// Whether a file is this node. A name may mean something else from one moment to the next, a descriptor does not.
    fn check(&self, file: impl AsFd, why: &str) -> Result<Mode> {
        let stat = rustix::fs::fstat(file).cannot(|| "inspect the node".into())?;
        let number = if self.kind == FileType::Fifo { self.number } else { stat.st_rdev };
        if FileType::from_raw_mode(stat.st_mode) != self.kind || number != self.number {
            return Err(invalid("invalid device", why));
        }
        Ok(Mode::from_raw_mode(stat.st_mode & 0o7777))
    }

    fn make(&self, parent: &OwnedFd, name: &OsStr) -> Result<()> {
        match rustix::fs::mknodat(parent, name, self.kind, self.mode, self.number) {
            Ok(()) if self.owner.is_none_or(|(uid, gid)| uid.is_root() && gid.is_root()) => Ok(()),
            Ok(()) => self.settle(parent, name),
            // The image has one; it must be the right one, or what opens it gets something else.
            Err(Errno::EXIST) => self.settle(parent, name),
            Err(Errno::PERM) => self.bind(parent, name, &Path::new("/dev").join(self.path)),
            Err(errno) => Err(errno).cannot(|| "make the node".into()),
        }
    }

    /// Gives the node that is there its owner and mode.
    fn settle(&self, parent: &OwnedFd, name: &OsStr) -> Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let node =
            rustix::fs::openat(parent, name, flags, Mode::empty()).cannot(|| "open the node".into())?;
        let mode = self.check(&node, "another file is in its place")?;
        if let Some((uid, gid)) = self.owner {
            rustix::fs::chownat(&node, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
                .cannot(|| "set its owner".into())?;
        }
        if mode != self.mode {
            change_mode(node.as_fd(), self.mode).cannot(|| "set its mode".into())
        } else {
            Ok(())
        }
    }

    /// Shows the host's node of the same path on an empty file, or on what is there.
    fn bind(&self, parent: &OwnedFd, name: &OsStr, host: &Path) -> Result<()> {
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = flags | OFlags::CREATE | OFlags::EXCL | OFlags::RDONLY;
        let target = match rustix::fs::openat(parent, name, create, Mode::from_raw_mode(0o666)) {
            Err(Errno::EXIST) => rustix::fs::openat(parent, name, flags | OFlags::PATH, Mode::empty()),
            made => made,
        }
        .cannot(|| "make the file to show it on".into())?;
        let tree = trees::clone(host, Bind::One)?;
        self.check(&tree, "the host has another file in its place")?;
        attach(&tree, &target).cannot(|| format!("bind the host's {}", host.display()))
    }
}

/// Changes the mode of what a descriptor refers to. Before Linux 6.6 that takes a path, of a `/proc` that must be the kernel's.
fn change_mode(file: BorrowedFd<'_>, mode: Mode) -> std::io::Result<()> {
    match sampan_sys::file::change_mode(file, mode.as_raw_mode()) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOSYS) => {}
        changed => return changed,
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let descriptors = rustix::fs::open("/proc/self/fd", flags, Mode::empty())?;
    if !super::proc::is_proc(&descriptors).is_ok_and(|is_proc| is_proc) {
        return Err(std::io::Error::other("/proc is not the kernel's"));
    }
    let name = file.as_raw_fd().to_string();
    Ok(rustix::fs::chmodat(&descriptors, name, mode, AtFlags::empty())?)
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
            rustix::fs::unlinkat(dev, name, AtFlags::empty())
                .and_then(|()| rustix::fs::symlinkat(to, dev, name))
                .cannot(|| format!("link /dev/{name}"))
        }
        Err(errno) => Err(errno).cannot(|| format!("link /dev/{name}")),
    }
}
