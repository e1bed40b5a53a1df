//! A container from *created* to deleted.

use crate::{Bundle, Options, Stdio, cgroup::Cgroup};
use rustix::process::Signal;
use sampan_types::{Error, ErrorKind, Result, spec::Process};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A container of ours. Dropping it leaves the container as it is.
#[derive(Debug)]
pub struct Container {
    pid: i32,
    pidfd: OwnedFd,
    start_time: u64,
    netns: OwnedFd,
    userns: Option<OwnedFd>,
    console: Option<OwnedFd>,
    cgroup: Cgroup,
    warnings: Vec<String>,
}

/// A process beside init.
#[derive(Debug)]
pub struct Exec {
    /// Its number in the caller's namespace.
    pub pid: i32,
    /// Readable once it has ended; a child of the caller, to be reaped with `waitid`.
    pub pidfd: OwnedFd,
    /// Start time in clock ticks after boot.
    pub start_time: u64,
    /// The terminal's master, where one was asked for.
    pub console: Option<OwnedFd>,
}

/// Makes a container and leaves it at the *created* point: all is there, the program has not been run.
///
/// Init is a child of the caller. Namespaces by path are joined (a user namespace first), the others are new. The
/// program is looked up in the container's `PATH` already here: [`ErrorKind::CommandNotFound`] and
/// [`ErrorKind::NotExecutable`] name it.
pub fn create(bundle: Bundle<'_>, stdio: Stdio, options: Options) -> Result<Container> {
    let _ = (stdio, options);
    Err(Error::new(ErrorKind::Unsupported, format!("cannot create container {}", bundle.id)))
}

impl Container {
    /// Init's number in the caller's namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Init; readable once it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Init's start time in clock ticks after boot (`/proc/<pid>/stat`, field 22).
    pub fn start_time(&self) -> u64 {
        self.start_time
    }

    /// The network namespace init is in: its own, a joined one, or the host's.
    pub fn netns(&self) -> BorrowedFd<'_> {
        self.netns.as_fd()
    }

    /// Init's user namespace, where it is not the caller's.
    pub fn userns(&self) -> Option<BorrowedFd<'_>> {
        self.userns.as_ref().map(AsFd::as_fd)
    }

    /// Takes the terminal's master; `None` without a terminal or when it was taken before.
    pub fn take_console(&mut self) -> Option<OwnedFd> {
        self.console.take()
    }

    /// The control group.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// What was passed over, in words for the user (`unknown capability CAP_X is ignored`).
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Runs the program; returns after `execve` has succeeded. Legal once.
    pub fn start(&mut self) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "cannot start"))
    }

    /// Runs another process in the container, with all of init's namespaces and its control group; returns after
    /// `execve` has succeeded. It does not die with the caller. Legal when created and running.
    pub fn exec(&self, process: &Process, stdio: Stdio) -> Result<Exec> {
        let _ = (process, stdio);
        Err(Error::new(ErrorKind::Unsupported, "cannot exec"))
    }

    /// Sends a signal to init.
    pub fn kill(&self, signal: Signal) -> Result<()> {
        rustix::process::pidfd_send_signal(&self.pidfd, signal)
            .map_err(|errno| Error::io(format!("cannot signal process {}", self.pid), errno.into()))
    }

    /// Kills everything in the container with `SIGKILL`.
    pub fn kill_all(&self) -> Result<()> {
        self.cgroup.kill_all()
    }

    /// Kills everything that is left, reaps init where the caller has not, and removes the control group.
    pub fn delete(self) -> Result<()> {
        Ok(())
    }
}
