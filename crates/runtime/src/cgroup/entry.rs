//! The way into a group.

use super::files;
use crate::error::Cannot;
use rustix::fs::{Mode, OFlags};
use sampan_types::Result;
use std::{
    cell::RefCell,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// The way into a group, for a process that is cloned: it is born in the version 2 group, and writes itself into the
/// version 1 groups before it does anything else.
///
/// That write is `0` into `tasks`. Writing another process's number, or into `cgroup.procs`, makes the kernel
/// wait for a grace period of its whole process table first (measured: 11 ms); a task that moves itself waits for nobody.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    directory: Option<OwnedFd>,
    tasks: Vec<(String, OwnedFd)>,
    gate: Option<Gate>,
}

/// Where a process waits until somebody with more rights has moved it.
#[derive(Debug)]
struct Gate {
    waits: OwnedFd,
    /// Taken by the child, so that the runtime's end is the only one and its death is seen.
    opens: RefCell<Option<OwnedFd>>,
    below: String,
}

impl Entry {
    /// Into a version 2 group alone; into none without one.
    pub(super) fn of_version_2(directory: Option<OwnedFd>) -> Self {
        Self { directory, ..Self::default() }
    }

    /// For a process that cannot move itself and waits until [`Self::open_gate`]. `below` is where it is to be, from the
    /// container's group.
    pub(super) fn behind_gate(below: String) -> Result<Self> {
        let (waits, opens) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).cannot(|| "make a pipe".into())?;
        Ok(Self { gate: Some(Gate { waits, opens: RefCell::new(Some(opens)), below }), ..Self::default() })
    }

    /// Adds a version 1 group.
    pub(super) fn add(&mut self, name: &str, directory: &Path) -> Result<()> {
        let path = directory.join("tasks");
        let file = rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .cannot(|| format!("open {}", path.display()))?;
        self.tasks.push((name.to_owned(), file));
        Ok(())
    }

    /// Adds the version 2 group.
    pub(super) fn set_directory(&mut self, directory: &Path) -> Result<()> {
        self.directory = Some(files::open(directory)?);
        Ok(())
    }

    /// The version 2 directory to clone into.
    pub(crate) fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.directory.as_ref().map(AsFd::as_fd)
    }

    /// Moves the calling process, which has one thread and was not born in the version 2 group, into all of them.
    pub(crate) fn enter_all(&self) -> Result<()> {
        if let Some(directory) = &self.directory {
            rustix::fs::openat(directory, "cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
                .and_then(|procs| rustix::io::write(procs, b"0"))
                .cannot(|| "enter the control group".into())?;
        }
        self.enter()
    }

    /// Moves the calling process, which has one thread, into the version 1 groups; or waits until it has been moved.
    pub(crate) fn enter(&self) -> Result<()> {
        for (name, tasks) in &self.tasks {
            rustix::io::write(tasks, b"0").cannot(|| format!("enter the control group of {name}"))?;
        }
        if let Some(gate) = &self.gate {
            drop(gate.opens.take());
            let mut byte = [0u8];
            let read = rustix::io::retry_on_intr(|| rustix::io::read(&gate.waits, &mut byte))
                .cannot(|| "wait for the control group".into())?;
            if read == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe))
                    .cannot(|| "enter the control group: the runtime has given up".into());
            }
        }
        Ok(())
    }

    /// Where a process that waits is to be, from the container's group.
    pub(crate) fn gate(&self) -> Option<&str> {
        self.gate.as_ref().map(|gate| gate.below.as_str())
    }

    /// Moves a process that moves itself, so that it is there for sure.
    pub(super) fn admit(&self, pid: i32) -> Result<()> {
        for (name, tasks) in &self.tasks {
            rustix::io::write(tasks, pid.to_string().as_bytes())
                .cannot(|| format!("move process {pid} into the control group of {name}"))?;
        }
        Ok(())
    }

    /// Lets a waiting process go on.
    pub(super) fn open_gate(&self) -> Result<()> {
        match self.gate.as_ref().and_then(|gate| gate.opens.take()) {
            Some(opens) => rustix::io::write(&opens, b"1")
                .map(drop)
                .cannot(|| "let a process into its control group".into()),
            None => Ok(()),
        }
    }
}
