//! A container from *created* to deleted.

use crate::{
    Stdio,
    cgroup::{Cgroup, Entry},
    error::Cannot,
    exec::{self, Exec},
    hooks,
    idmap::IdMaps,
    namespaces::Namespaces,
    seccomp::Filter,
    sync::{Channel, Message, unexpected},
};
use rustix::{
    io::Errno,
    process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid},
};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{Hooks, Linux, Process, State, Status},
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A container of ours. Dropping it leaves the container as it is.
#[derive(Debug)]
pub struct Container {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) start_time: u64,
    pub(crate) netns: OwnedFd,
    pub(crate) userns: Option<OwnedFd>,
    pub(crate) console: Option<OwnedFd>,
    pub(crate) cgroup: Cgroup,
    pub(crate) entry: Entry,
    pub(crate) warnings: Vec<String>,
    /// To init, until it runs the program.
    pub(crate) channel: Option<Channel>,
    pub(crate) hooks: Option<Hooks>,
    pub(crate) state: State,
    /// What every exec needs of the specification.
    pub(crate) linux: Linux,
    pub(crate) namespaces: Namespaces,
    pub(crate) maps: Option<IdMaps>,
    pub(crate) filter: Option<Filter>,
    pub(crate) personality: Option<u32>,
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

    /// What was passed over, in words for the user (`unknown capability "CAP_X" is ignored`).
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Runs the program; returns after `execve` has succeeded. Legal once.
    ///
    /// Where a `poststart` hook fails, the container is killed.
    pub fn start(&mut self) -> Result<()> {
        let Some(channel) = self.channel.take() else {
            return Err(Error::new(ErrorKind::Conflict, format!("cannot start container {}", self.state.id))
                .because("it was started before"));
        };
        let answer = channel.tell(&Message::Proceed, &[]).and_then(|()| channel.receive())?;
        match answer {
            // Closed by `execve`.
            None => {}
            Some((Message::Failed(failure), _)) => return Err(failure.into()),
            Some((message, _)) => return Err(unexpected(Some(message))),
        }
        self.state.status = Status::Running;
        match &self.hooks {
            Some(all) => hooks::run("poststart", &all.poststart, &self.state, &[]).inspect_err(|_| {
                // The hook's failure is the one to tell.
                let _ = self.kill(Signal::KILL);
            }),
            None => Ok(()),
        }
    }

    /// Runs another process in the container, with all of init's namespaces and its control group; returns after
    /// `execve` has succeeded. It does not die with the caller. Legal when created and running.
    pub fn exec(&self, process: &Process, stdio: Stdio) -> Result<Exec> {
        exec::run(self, process, stdio)
    }

    /// Sends a signal to init.
    pub fn kill(&self, signal: Signal) -> Result<()> {
        pidfd_send_signal(&self.pidfd, signal).cannot(|| format!("signal process {}", self.pid))
    }

    /// Kills everything in the container with `SIGKILL`.
    pub fn kill_all(&self) -> Result<()> {
        self.cgroup.kill_all()
    }

    /// Kills everything that is left, reaps init where the caller has not, and removes the control group; then runs the
    /// `poststop` hooks.
    pub fn delete(self) -> Result<()> {
        let killed = self.cgroup.kill_all();
        reap(&self.pidfd)?;
        killed?;
        // What is open in a group keeps the kernel from freeing it.
        drop(self.entry);
        self.cgroup.delete()?;
        let state = State { status: Status::Stopped, pid: None, ..self.state };
        self.hooks.map_or(Ok(()), |all| hooks::run("poststop", &all.poststop, &state, &[]))
    }
}

/// Kills a child and waits for its end.
pub(crate) fn reap(pidfd: &OwnedFd) -> Result<()> {
    match pidfd_send_signal(pidfd, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(errno).cannot(|| "kill a container's process".into()),
    }
    match rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)) {
        // The caller has reaped it.
        Ok(_) | Err(Errno::CHILD) => Ok(()),
        Err(errno) => Err(errno).cannot(|| "wait for a container's process".into()),
    }
}
