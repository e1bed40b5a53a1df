//! A terminal from the container's own devpts.

use super::{
    options::Bind,
    target::{self, LastLink, Missing},
    trees,
};
use crate::error::{Cannot, invalid};
use rustix::{
    fs::{FileType, OFlags, ResolveFlags, makedev},
    pty::OpenptFlags,
    termios::{OptionalActions, OutputModes, Winsize},
};
use sampan_types::{Result, spec::ConsoleSize};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// A terminal's two ends.
#[derive(Debug)]
pub(crate) struct Console {
    /// For the one who looks on.
    pub(crate) master: OwnedFd,
    /// For the processes.
    pub(crate) slave: OwnedFd,
}

/// What tells a devpts from anything an image may have put in its place (linux/magic.h).
const DEVPTS_MAGIC: i64 = 0x1cd1;

impl Console {
    /// Opens one from `/dev/pts` of `root`.
    pub(crate) fn open(root: impl AsFd, size: Option<ConsoleSize>) -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_SYMLINKS;
        let master = target::open_with(root, Path::new("dev/pts/ptmx"), flags, resolve)
            .cannot(|| "open a terminal from /dev/pts/ptmx of the container".into())?;
        let stat = rustix::fs::fstat(&master).cannot(|| "inspect the terminal".into())?;
        let filesystem = rustix::fs::fstatfs(&master).cannot(|| "inspect the terminal".into())?;
        let right = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == makedev(5, 2)
            && filesystem.f_type == DEVPTS_MAGIC;
        if !right {
            return Err(invalid("cannot open a terminal", "/dev/pts of the container is no devpts"));
        }
        rustix::pty::unlockpt(&master).cannot(|| "unlock the terminal".into())?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)
            .cannot(|| "open the terminal's other end".into())?;
        if let Some(size) = size {
            let size = Winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 };
            rustix::termios::tcsetwinsize(&master, size).cannot(|| "set the terminal's size".into())?;
        }
        Ok(Self { master, slave })
    }

    /// Has what is written come out as it is, without a carriage return at each end of a line.
    pub(crate) fn keep_newlines(&self) -> Result<()> {
        let changed = rustix::termios::tcgetattr(&self.slave).and_then(|mut modes| {
            modes.output_modes.remove(OutputModes::ONLCR);
            rustix::termios::tcsetattr(&self.slave, OptionalActions::Now, &modes)
        });
        changed.cannot(|| "set up the terminal".into())
    }

    /// Shows the terminal as `/dev/console` of `root`: on what is there itself, which no symbolic link leads elsewhere
    /// (CVE-2025-52565).
    pub(crate) fn bind(&self, root: impl AsFd) -> Result<()> {
        let path = Path::new("dev/console");
        let target = target::open_or_create(root.as_fd(), path, Missing::File, LastLink::Keep)?;
        trees::clone_of(&self.slave, Bind::One)
            .and_then(|tree| super::mounts::attach(&tree, &target))
            .cannot(|| "attach the terminal to /dev/console".into())
    }

    /// Makes it the calling session leader's terminal and standard streams, owned by `uid`; gives the master.
    pub(crate) fn take(self, uid: u32) -> Result<OwnedFd> {
        rustix::fs::fchown(&self.slave, Some(rustix::fs::Uid::from_raw(uid)), None)
            .cannot(|| "give the terminal to the user".into())?;
        rustix::process::ioctl_tiocsctty(&self.slave).cannot(|| "take the terminal".into())?;
        rustix::stdio::dup2_stdin(&self.slave)
            .and_then(|()| rustix::stdio::dup2_stdout(&self.slave))
            .and_then(|()| rustix::stdio::dup2_stderr(&self.slave))
            .cannot(|| "set the standard streams".into())?;
        Ok(self.master)
    }
}
