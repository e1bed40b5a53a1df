//! A container from *created* to deleted.

use crate::{
    Record, Stdio,
    cgroup::{Cgroup, Entry},
    error::Cannot,
    exec::{self, Exec, ExecOptions},
    gate,
    hooks::{self, Surroundings},
    idmap::{IdMaps, open_namespace},
    intel_rdt::RdtRecord,
    namespaces::Namespaces,
    process::Inherited,
    seccomp::Filter,
    setup,
    sync::{Channel, Message, unexpected},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid},
};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{Hooks, IntelRdt, Linux, NamespaceKind, Process, Spec, State, Status},
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// A container of ours. Dropping it leaves the container as it is.
#[derive(Debug)]
pub struct Container {
    pub(crate) pid: i32,
    /// `None` for one that had ended when it was opened.
    pub(crate) pidfd: Option<OwnedFd>,
    pub(crate) start_time: u64,
    pub(crate) console: Option<OwnedFd>,
    pub(crate) cgroup: Cgroup,
    /// The way into the control group, kept by who creates.
    pub(crate) entry: Option<Entry>,
    /// Cache and memory bandwidth.
    pub(crate) rdt: Option<RdtRecord>,
    pub(crate) warnings: Vec<String>,
    /// To init, until it runs the program or is left to its gate.
    pub(crate) channel: Option<Channel>,
    pub(crate) gate: Option<PathBuf>,
    /// Its processes share their callers' session keyrings.
    pub(crate) no_new_keyring: bool,
    pub(crate) hooks: Option<Hooks>,
    pub(crate) inherited: Inherited,
    pub(crate) state: State,
    /// What every exec needs of the specification.
    pub(crate) linux: Linux,
    pub(crate) namespaces: Namespaces,
    pub(crate) maps: Option<IdMaps>,
    pub(crate) filter: Option<Filter>,
    pub(crate) personality: Option<u32>,
}

impl Container {
    /// Opens a container that another process has created, from its specification as it was then and its record. `bundle` is
    /// the bundle's directory. Its init may have ended.
    pub fn open(id: &str, spec: &Spec, bundle: &Path, record: Record) -> Result<Self> {
        let linux = spec.linux.clone().unwrap_or_default();
        let pidfd = open_init(record.pid, record.start_time)?;
        Ok(Self {
            pid: record.pid,
            pidfd,
            start_time: record.start_time,
            console: None,
            cgroup: Cgroup::reopen(record.cgroup)?,
            entry: None,
            rdt: record.rdt,
            warnings: Vec::new(),
            channel: None,
            gate: record.gate,
            no_new_keyring: record.no_new_keyring,
            hooks: spec.hooks.clone(),
            inherited: Inherited::of(spec.process.as_ref()),
            state: hooks::state(id, spec, bundle, Status::Running, record.pid),
            namespaces: Namespaces::of(&linux),
            maps: record.maps,
            filter: record.filter,
            personality: setup::personality(&linux)?,
            linux,
        })
    }

    /// What [`Self::open`] needs later.
    pub fn record(&self) -> Record {
        Record {
            pid: self.pid,
            start_time: self.start_time,
            cgroup: self.cgroup.record().clone(),
            rdt: self.rdt.clone(),
            gate: self.gate.clone(),
            no_new_keyring: self.no_new_keyring,
            maps: self.maps.clone(),
            filter: self.filter.clone(),
        }
    }

    /// Leaves a container with a gate to whoever opens it: its creator may end now. Its facts must be written down before.
    pub fn detach(mut self) -> Result<()> {
        match (self.channel.take(), &self.gate) {
            (Some(channel), Some(_)) => channel.tell(&Message::Detach, &[]),
            _ => Err(Error::new(ErrorKind::Conflict, format!("cannot detach container {}", self.state.id))
                .because("it has no gate, or was started before")),
        }
    }

    /// Where it stands, by what the kernel says at this moment.
    pub fn status(&self) -> Result<Status> {
        let Some(pidfd) = &self.pidfd else { return Ok(Status::Stopped) };
        if has_ended(pidfd.as_fd())? {
            return Ok(Status::Stopped);
        }
        if self.cgroup.frozen()? {
            return Ok(Status::Paused);
        }
        let waits = self.channel.is_some() || self.gate.as_ref().is_some_and(|gate| gate.exists());
        Ok(if waits { Status::Created } else { Status::Running })
    }

    /// What hooks and callers are told of it: [`Self::status`] included.
    pub fn state(&self) -> Result<State> {
        let status = self.status()?;
        Ok(State { status, pid: self.state.pid.filter(|_| status != Status::Stopped), ..self.state.clone() })
    }

    /// Init's number in the caller's namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Init; readable once it has ended. `None` where it had ended when the container was opened.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Init's start time in clock ticks after boot (`/proc/<pid>/stat`, field 22).
    pub fn start_time(&self) -> u64 {
        self.start_time
    }

    /// The network namespace init is in: its own, a joined one, or the host's.
    ///
    /// # Errors
    /// When init has ended.
    pub fn netns(&self) -> Result<OwnedFd> {
        self.namespace("net")
    }

    /// Init's user namespace, where it is not the caller's.
    ///
    /// # Errors
    /// When init has ended.
    pub fn userns(&self) -> Result<Option<OwnedFd>> {
        self.namespaces.has(NamespaceKind::User).then(|| self.namespace("user")).transpose()
    }

    fn namespace(&self, kind: &str) -> Result<OwnedFd> {
        open_namespace(self.pid, kind)
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
        let channel = match (self.channel.take(), &self.gate) {
            // Whoever holds the channel created it and has not left it.
            (Some(channel), None) => channel.tell(&Message::Proceed, &[]).map(|()| channel)?,
            (creator, Some(path)) => {
                if let Some(creator) = creator {
                    creator.tell(&Message::Detach, &[])?;
                }
                gate::open(path).map_err(|error| match error.kind() {
                    ErrorKind::NotFound => self.started_before(),
                    _ => error,
                })?
            }
            (None, None) => return Err(self.started_before()),
        };
        // Who answers for its filter was told when it was created.
        channel.await_program(|_| Err(unexpected(None)))?;
        self.state.status = Status::Running;
        let Some(all) = &self.hooks else { return Ok(()) };
        hooks::run("poststart", &all.poststart, &self.state, self.surroundings()).inspect_err(|_| {
            // The hook's failure is the one to tell.
            let _ = self.kill(Signal::KILL);
        })
    }

    /// Where hooks on the runtime's side run.
    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings { directory: Some(&self.state.bundle), ..Surroundings::default() }
    }

    fn started_before(&self) -> Error {
        Error::new(ErrorKind::Conflict, format!("cannot start container {}", self.state.id))
            .because("it was started before")
    }

    /// Runs another process in the container, with all of init's namespaces and its control group; returns after
    /// `execve` has succeeded. It does not die with the caller. Legal when created and running.
    pub fn exec(&self, process: &Process, stdio: Stdio, options: &ExecOptions) -> Result<Exec> {
        exec::run(self, process, stdio, options)
    }

    /// Changes the shares of cache and memory bandwidth that are given.
    ///
    /// # Errors
    /// `Unsupported` for a container that was created without `intelRdt`.
    pub fn apply_rdt(&self, config: &IntelRdt) -> Result<()> {
        let refused = || {
            Error::new(
                ErrorKind::Unsupported,
                format!("cannot change cache and memory bandwidth of container {}", self.state.id),
            )
            .because("Intel RDT is not enabled for it: it was created without linux.intelRdt")
        };
        self.rdt.as_ref().ok_or_else(refused)?.update(config)
    }

    /// Sends a signal to init.
    pub fn kill(&self, signal: Signal) -> Result<()> {
        let sent = match &self.pidfd {
            Some(pidfd) => pidfd_send_signal(pidfd, signal),
            None => Err(Errno::SRCH),
        };
        sent.map_err(|errno| match errno {
            Errno::SRCH => {
                Error::new(ErrorKind::Conflict, format!("cannot signal container {}", self.state.id))
                    .because("container not running")
            }
            errno => Error::io(format!("cannot signal process {}", self.pid), errno.into()),
        })
    }

    /// Kills everything in the container with `SIGKILL`.
    pub fn kill_all(&self) -> Result<()> {
        self.cgroup.kill_all()
    }

    /// Kills everything that is left, reaps init where the caller has not, and removes the control group; then runs the
    /// `poststop` hooks. The first of these that fails is the last, and is given back to be told: the container is gone.
    pub fn delete(self) -> Result<Option<Error>> {
        let killed = self.cgroup.kill_all();
        if let Some(pidfd) = &self.pidfd {
            reap(pidfd)?;
        }
        killed?;
        // What is open in a group keeps the kernel from freeing it.
        drop(self.entry);
        self.cgroup.delete()?;
        self.rdt.as_ref().map_or(Ok(()), RdtRecord::delete)?;
        if let Some(gate) = &self.gate {
            // Gone since it was started, as a rule.
            let _ = rustix::fs::unlink(gate);
        }
        let state = State { status: Status::Stopped, pid: None, ..self.state };
        let Some(all) = self.hooks else { return Ok(None) };
        let surroundings = Surroundings { directory: Some(&state.bundle), ..Surroundings::default() };
        Ok(hooks::run("poststop", &all.poststop, &state, surroundings).err())
    }
}

/// Refers to exactly the process that started at this time; `None` where it has ended. Numbers are reused.
fn open_init(pid: i32, start_time: u64) -> Result<Option<OwnedFd>> {
    let Some(number) = Pid::from_raw(pid) else { return Ok(None) };
    match pidfd_open(number, PidfdFlags::empty()) {
        // Looked at after it is held: the number cannot be given to another meanwhile.
        Ok(pidfd) => Ok(sampan_sys::process::is_running(pid, start_time).then_some(pidfd)),
        Err(Errno::SRCH) => Ok(None),
        Err(errno) => Err(errno).cannot(|| format!("open process {pid}")),
    }
}

/// A process's descriptor is readable once it has ended (pidfd_open(2)).
pub(crate) fn has_ended(pidfd: BorrowedFd<'_>) -> Result<bool> {
    let mut entries = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let ready =
        poll(&mut entries, Some(&Timespec::default())).cannot(|| "look at the container's init".into())?;
    Ok(ready > 0)
}

/// Kills a process and waits for its end; a child of the caller is reaped.
pub(crate) fn reap(pidfd: &OwnedFd) -> Result<()> {
    match pidfd_send_signal(pidfd, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(errno).cannot(|| "kill a container's process".into()),
    }
    match rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)) {
        Ok(_) => Ok(()),
        // The caller has reaped it, or it is somebody else's child.
        Err(Errno::CHILD) => {
            let mut entries = [PollFd::new(pidfd, PollFlags::IN)];
            rustix::io::retry_on_intr(|| poll(&mut entries, None))
                .map(drop)
                .cannot(|| "wait for a container's process".into())
        }
        Err(errno) => Err(errno).cannot(|| "wait for a container's process".into()),
    }
}
