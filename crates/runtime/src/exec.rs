//! Another process in a container that is there already.

use crate::{
    Container, Stdio,
    cgroup::{Entry, SubGroups},
    container::{has_ended, reap},
    error::Cannot,
    idmap::write_file,
    init,
    process::{self, capabilities::Sets, rlimits, stdio},
    rootfs::console::Console,
    seccomp::Filter,
    sync::{Channel, Message, unexpected},
};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    thread::{
        LinkNameSpaceType, ThreadNameSpaceType, UnshareFlags, move_into_link_name_space,
        move_into_thread_name_spaces,
    },
};
use sampan_sys::clone::{self, Child};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{NamespaceKind, Process},
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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

/// What a process's description has no word for.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// So many descriptors from 3 on stay open in the program.
    pub preserve_fds: u32,
    /// A paused container is no error: the process is made, and goes on when the container does.
    pub ignore_paused: bool,
    /// Groups below the container's to be in.
    pub cgroup: SubGroups,
}

/// Makes it, up to the program's `execve`.
pub(crate) fn run(
    container: &Container,
    process: &Process,
    stdio: Stdio,
    options: &ExecOptions,
) -> Result<Exec> {
    process::refuse_unsupported(process, &container.linux)?;
    rlimits::check(&process.rlimits)?;
    // Before its control group is looked at: one whose processes were killed while paused may still say that it is.
    let init = init(container)?;
    if has_ended(init)? {
        return Err(not_running(container));
    }
    if !options.ignore_paused && container.cgroup.frozen()? {
        return Err(Error::new(ErrorKind::Conflict, "cannot exec in a paused container")
            .because(format!("container {} is paused", container.state.id))
            .hint("resume it first"));
    }
    stdio::give(&stdio, process.user.uid, container.maps.as_ref())?;
    let compiled;
    let filter = match (&container.filter, &container.linux.seccomp) {
        (Some(filter), _) => Some(filter),
        (None, Some(seccomp)) => {
            compiled = Filter::compile(seccomp)?;
            Some(&compiled)
        }
        (None, None) => None,
    };
    let mut warnings = Vec::new();
    let plan = process::Plan {
        process,
        sets: Sets::parse(process.capabilities.as_ref(), &mut warnings),
        filter,
        die_with_parent: false,
    };
    let (channel, theirs) = Channel::pair()?;
    let opened;
    let entry = match &container.entry {
        Some(entry) if options.cgroup.is_empty() && entry.gate().is_none() => entry,
        _ => {
            opened = container.cgroup.entry_below(&options.cgroup)?;
            &opened
        }
    };
    let work = Inside { container, init, entry, plan: &plan, stdio: &stdio, channel: &theirs, options };
    let child = clone_into(container, entry, options, || init::report(&theirs, || work.become_program()))?;
    drop(theirs);
    let placed = container.cgroup.admit(entry, child.pid);
    let placed = placed.and_then(|()| container.rdt.as_ref().map_or(Ok(()), |rdt| rdt.join(child.pid)));
    placed.inspect_err(|_| {
        // The first failure is the one to tell.
        let _ = reap(&child.pidfd);
    })?;
    accompany(process, &channel, child)
}

fn accompany(process: &Process, channel: &Channel, child: Child) -> Result<Exec> {
    let console = match follow(process, channel, child.pid) {
        Ok(console) => console,
        Err(error) => {
            // The first failure is the one to tell.
            let _ = reap(&child.pidfd);
            return Err(error);
        }
    };
    let start_time =
        sampan_sys::process::start_time(child.pid).cannot(|| "read a process's start time".into())?;
    Ok(Exec { pid: child.pid, pidfd: child.pidfd, start_time, console })
}

fn follow(process: &Process, channel: &Channel, pid: i32) -> Result<Option<OwnedFd>> {
    let (Message::Ready, mut fds) = channel.expect("run a process in the container")? else {
        return Err(unexpected(None));
    };
    if waits(process) {
        rlimits::apply(pid, &process.rlimits)?;
        if let Some(value) = process.oom_score_adj {
            write_file(&format!("/proc/{pid}/oom_score_adj"), &value.to_string())?;
        }
        channel.tell(&Message::Proceed, &[])?;
    }
    match channel.receive()? {
        // Closed by `execve`.
        None => Ok(fds.pop()),
        Some((Message::Failed(failure), _)) => Err(failure.into()),
        Some((message, _)) => Err(unexpected(Some(message))),
    }
}

/// Whether the child waits for what only the runtime may set.
fn waits(process: &Process) -> bool {
    !process.rlimits.is_empty() || process.oom_score_adj.is_some()
}

/// Clones straight into the container's process namespace: the caller's children are born there while it asks for
/// that, so that no process in between is needed.
fn clone_into(
    container: &Container,
    entry: &Entry,
    options: &ExecOptions,
    work: impl Fn() -> i32,
) -> Result<Child> {
    let own_pids = container.namespaces.has(NamespaceKind::Pid);
    let back = if own_pids { Some(enter_pids(container)?) } else { None };
    let mut child = clone::clone(UnshareFlags::empty(), entry.directory(), &work);
    // A version 2 group that has handed its controllers down, as a system container's does, has no processes of its own.
    let busy = child.as_ref().is_err_and(|error| Errno::from_io_error(error) == Some(Errno::BUSY));
    if busy && options.cgroup.is_empty() {
        child = match container.cgroup.entry_of(container.pid) {
            Ok(entry) => clone::clone(UnshareFlags::empty(), entry.directory(), &work),
            Err(error) => Err(std::io::Error::other(error)),
        };
    }
    if let Some(back) = back {
        move_into_link_name_space(back.as_fd(), Some(LinkNameSpaceType::ProcessID))
            .cannot(|| "leave the container's process namespace".into())?;
    }
    child.cannot(|| format!("clone a process into container {}", container.state.id))
}

fn not_running(container: &Container) -> Error {
    Error::new(ErrorKind::Conflict, format!("cannot exec in container {}", container.state.id))
        .because("it is not running")
}

fn init(container: &Container) -> Result<BorrowedFd<'_>> {
    container.pidfd().ok_or_else(|| not_running(container))
}

fn enter_pids(container: &Container) -> Result<OwnedFd> {
    let back = rustix::fs::open("/proc/self/ns/pid", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .cannot(|| "open the runtime's process namespace".into())?;
    move_into_thread_name_spaces(init(container)?, ThreadNameSpaceType::PROCESS_ID).map_err(|errno| {
        if errno == Errno::SRCH {
            return not_running(container);
        }
        Error::io("cannot join the container's process namespace", errno.into())
    })?;
    Ok(back)
}

/// The child's side.
#[derive(Clone, Copy)]
struct Inside<'a> {
    container: &'a Container,
    init: BorrowedFd<'a>,
    entry: &'a Entry,
    plan: &'a process::Plan<'a>,
    stdio: &'a Stdio,
    channel: &'a Channel,
    options: &'a ExecOptions,
}

impl Inside<'_> {
    /// Comes back only with the reason why the program does not run.
    fn become_program(self) -> Result<()> {
        let Self { container, plan, channel, .. } = self;
        sampan_sys::signal::reset();
        init::close_inherited(self.options.preserve_fds)?;
        process::follow_runtime()?;
        self.entry.enter()?;
        // Nobody in the container may look into this process, which still holds the runtime's memory.
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
            .cannot(|| "guard the process".into())?;
        move_into_thread_name_spaces(self.init, container.namespaces.entered())
            .cannot(|| format!("join the namespaces of container {}", container.state.id))?;
        if container.namespaces.has(NamespaceKind::User) {
            init::become_root()?;
        }
        rustix::process::setsid().cannot(|| "begin a session".into())?;
        let master = self.take_streams()?;
        if let Some(domain) = container.personality {
            sampan_sys::exec::set_personality(domain).cannot(|| "set the personality".into())?;
        }
        let program = process::become_user(plan)?;
        channel.send(&Message::Ready, master.as_ref().map(AsFd::as_fd).as_slice())?;
        drop(master);
        if waits(plan.process) {
            channel.await_proceed()?;
        }
        process::confine(plan)?;
        Err(program.run())
    }

    /// Puts the standard streams in their places; gives the master of a new terminal.
    fn take_streams(self) -> Result<Option<OwnedFd>> {
        match self.stdio {
            Stdio::Inherit => Ok(None),
            Stdio::Fds(fds) => stdio::place(fds).map(|()| None),
            Stdio::Console { size } => {
                let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                    .cannot(|| "open the container's root".into())?;
                Console::open(root, *size)?.take(self.plan.process.user.uid).map(Some)
            }
        }
    }
}
