//! Waiting for the kernel to run out of memory in a group.

use super::files;
use crate::error::Cannot;
use rustix::{
    event::EventfdFlags,
    fs::{
        Mode, OFlags,
        inotify::{self, CreateFlags, WatchFlags},
    },
    io::Errno,
};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// What an [`OomWatch`] has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OomEvent {
    /// Memory ran out.
    OutOfMemory,
    /// The group is gone, or no process is left in it: nothing more will come.
    Ended,
    /// Something else about the group.
    Nothing,
}

/// A descriptor that is readable when there is news of a group's memory.
#[derive(Debug)]
pub struct OomWatch {
    fd: OwnedFd,
    directory: PathBuf,
    /// How often it had happened, where the kernel counts (version 2).
    count: Option<u64>,
}

impl OomWatch {
    /// Version 1: an event counter that the kernel raises (kernel: admin-guide/cgroup-v1/memory.rst, "OOM Control").
    pub(super) fn of_version_1(directory: &Path) -> Result<Self> {
        let path = directory.join("memory.oom_control");
        let control = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| absent(&path, errno))?;
        let fd = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .cannot(|| "make an event counter".into())?;
        let registration = format!("{} {}", fd.as_raw_fd(), control.as_raw_fd());
        files::write(directory, "cgroup.event_control", &registration)?;
        Ok(Self { fd, directory: directory.to_path_buf(), count: None })
    }

    /// Version 2: the kernel says that a file has changed.
    pub(super) fn of_version_2(directory: &Path) -> Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .cannot(|| "make a watch on files".into())?;
        for file in ["memory.events", "cgroup.events"] {
            let path = directory.join(file);
            inotify::add_watch(&fd, &path, WatchFlags::MODIFY).map_err(|errno| absent(&path, errno))?;
        }
        Ok(Self { count: kills(directory), fd, directory: directory.to_path_buf() })
    }

    /// What has happened since the last call; nothing, when the descriptor is not readable.
    pub fn read(&mut self) -> Result<OomEvent> {
        let mut space = [MaybeUninit::<u8>::uninit(); 4096];
        let raised = loop {
            match rustix::io::read(&self.fd, &mut space) {
                Ok(_) if self.count.is_some() => {}
                Ok(_) => break true,
                Err(Errno::AGAIN) => break false,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).cannot(|| format!("watch {}", self.directory.display())),
            }
        };
        let Some(before) = self.count else {
            // The removal of the group raises the counter too.
            let there = || self.directory.join("cgroup.event_control").exists();
            return Ok(match raised {
                false => OomEvent::Nothing,
                true if there() => OomEvent::OutOfMemory,
                true => OomEvent::Ended,
            });
        };
        let Some(now) = kills(&self.directory) else { return Ok(OomEvent::Ended) };
        self.count = Some(now);
        if now > before {
            return Ok(OomEvent::OutOfMemory);
        }
        let events = files::read_present(&self.directory, "cgroup.events").unwrap_or_default();
        Ok(if files::keyed(&events, "populated") == Some(1) { OomEvent::Nothing } else { OomEvent::Ended })
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn kills(directory: &Path) -> Option<u64> {
    files::keyed(&files::read_present(directory, "memory.events")?, "oom_kill")
}

fn absent(path: &Path, errno: Errno) -> Error {
    match errno {
        Errno::NOENT => {
            Error::new(ErrorKind::NotFound, "cannot watch for memory running out").because(format!(
                "there is no {}: the container has ended, or this host has no memory controller",
                path.display()
            ))
        }
        errno => Error::io(format!("cannot watch {}", path.display()), errno.into()),
    }
}
