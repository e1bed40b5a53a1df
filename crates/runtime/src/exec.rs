//! Another process in a container that is there already.

mod entrance;

use crate::{
    Container, Stdio,
    cgroup::{Entry, SubGroups},
    container::{has_ended, reap},
    create::has_cpuset,
    error::Cannot,
    idmap::write_file,
    init,
    process::{
        self, affinity::Affinity, capabilities::Sets, labels::Labels, memory_policy::MemoryPolicy, rlimits,
        scheduling::Scheduling, stdio,
    },
    rootfs::console::Console,
    seccomp::{Filter, notify},
    sync::{Channel, Message, unexpected},
};
use entrance::Way;
use rustix::{
    fs::{Mode, OFlags},
    thread::{ThreadNameSpaceType, move_into_thread_name_spaces},
};
use sampan_sys::{clone::Child, exec::close_in_child};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{NamespaceKind, Process, Rlimit},
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
    /// What was passed over, in words for the user.
    pub warnings: Vec<String>,
}

/// What a process's description has no word for.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// So many descriptors from 3 on stay open in the program.
    pub preserve_fds: u32,
    /// The terminal leaves newlines as they are, for who shows them on a terminal that turns them itself.
    pub keep_newlines: bool,
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
    let inherited = &container.inherited;
    rlimits::check(&process.rlimits)?;
    let labels = Labels::parse(
        process.apparmor_profile.as_deref().or(inherited.apparmor_profile.as_deref()),
        process.selinux_label.as_deref().or(inherited.selinux_label.as_deref()),
    )?;
    let affinity =
        Affinity::parse(process.exec_cpu_affinity.as_ref().or(inherited.exec_cpu_affinity.as_ref()))?;
    let memory = MemoryPolicy::of(&container.linux)?;
    let outer = Outer {
        container,
        scheduling: Scheduling::parse(
            process.scheduler.as_ref().or(inherited.scheduler.as_ref()),
            process.io_priority.as_ref().or(inherited.io_priority.as_ref()),
        )?,
        oom_score_adj: process.oom_score_adj.or(inherited.oom_score_adj),
        rlimits: if process.rlimits.is_empty() { &inherited.rlimits } else { &process.rlimits },
    };
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
        rlimits: outer.rlimits,
        sets: Sets::parse(process.capabilities.as_ref(), &mut warnings),
        filter,
        personality: container.personality,
        memory: memory.as_ref(),
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
    let waits = outer.has_work();
    let work = Inside {
        container,
        init,
        entry,
        plan: &plan,
        affinity: &affinity,
        labels: &labels,
        stdio: &stdio,
        channel: &theirs,
        options,
        waits,
    };
    let way = Way {
        container,
        init,
        entry,
        // Processors for the way into the control group are not to be those of the group.
        born_inside: !affinity.has_initial(),
        sub: !options.cgroup.is_empty(),
    };
    let child = way.enter(|joined| {
        close_in_child(channel.as_fd());
        init::report(&theirs, || work.become_program(joined))
    })?;
    drop(theirs);
    let placed = container.cgroup.admit(entry, child.pid);
    let placed = placed.and_then(|()| container.rdt.as_ref().map_or(Ok(()), |rdt| rdt.join(child.pid)));
    placed.inspect_err(|_| {
        // The first failure is the one to tell.
        let _ = reap(&child.pidfd);
    })?;
    accompany(&outer, &channel, child).map(|exec| Exec { warnings, ..exec })
}

/// The runtime's side, and what only it may set.
struct Outer<'a> {
    container: &'a Container,
    scheduling: Scheduling,
    oom_score_adj: Option<i32>,
    rlimits: &'a [Rlimit],
}

fn accompany(outer: &Outer<'_>, channel: &Channel, child: Child) -> Result<Exec> {
    let console = match outer.follow(channel, &child) {
        Ok(console) => console,
        Err(error) => {
            // The first failure is the one to tell.
            let _ = reap(&child.pidfd);
            return Err(error);
        }
    };
    let start_time =
        sampan_sys::process::start_time(child.pid).cannot(|| "read a process's start time".into())?;
    Ok(Exec { pid: child.pid, pidfd: child.pidfd, start_time, console, warnings: Vec::new() })
}

impl Outer<'_> {
    /// Whether the child waits for it.
    fn has_work(&self) -> bool {
        self.oom_score_adj.is_some() || !self.scheduling.is_empty()
    }

    fn follow(&self, channel: &Channel, child: &Child) -> Result<Option<OwnedFd>> {
        let pid = child.pid;
        rlimits::raise(pid, self.rlimits)?;
        let (Message::Ready, mut fds) = channel.expect("run a process in the container")? else {
            return Err(unexpected(None));
        };
        if self.has_work() {
            if let Some(value) = self.oom_score_adj {
                write_file(&format!("/proc/{pid}/oom_score_adj"), &value.to_string())?;
            }
            self.scheduling.apply(pid, has_cpuset(&self.container.linux))?;
            channel.tell(&Message::Proceed, &[])?;
        }
        channel.await_program(|fd| self.forward_listener(child, fd))?;
        Ok(fds.pop())
    }

    fn forward_listener(&self, child: &Child, fd: i32) -> Result<()> {
        let Some(profile) = &self.container.linux.seccomp else { return Ok(()) };
        notify::forward(profile, child.pidfd.as_fd(), child.pid, fd, self.container.state()?)
    }
}

fn not_running(container: &Container) -> Error {
    Error::new(ErrorKind::Conflict, format!("cannot exec in container {}", container.state.id))
        .because("it is not running")
}

fn init(container: &Container) -> Result<BorrowedFd<'_>> {
    container.pidfd().ok_or_else(|| not_running(container))
}

/// The child's side.
#[derive(Clone, Copy)]
struct Inside<'a> {
    container: &'a Container,
    init: BorrowedFd<'a>,
    entry: &'a Entry,
    plan: &'a process::Plan<'a>,
    affinity: &'a Affinity,
    labels: &'a Labels,
    stdio: &'a Stdio,
    channel: &'a Channel,
    options: &'a ExecOptions,
    /// For the runtime, before it confines itself.
    waits: bool,
}

impl Inside<'_> {
    /// Comes back only with the reason why the program does not run. It is in the namespaces `joined` already.
    fn become_program(self, joined: ThreadNameSpaceType) -> Result<()> {
        let Self { container, plan, channel, .. } = self;
        sampan_sys::signal::reset();
        init::close_inherited(self.options.preserve_fds)?;
        process::follow_runtime()?;
        self.affinity.apply_initial()?;
        match self.affinity.has_initial() {
            true => self.entry.enter_all()?,
            false => self.entry.enter()?,
        }
        self.affinity.apply_final()?;
        let labels = self.labels.prepare()?;
        self.labels.label_keyrings()?;
        process::hide()?;
        // A process cannot join the user namespace that it is in.
        move_into_thread_name_spaces(self.init, container.namespaces.entered().difference(joined))
            .cannot(|| format!("join the namespaces of container {}", container.state.id))?;
        if container.namespaces.has(NamespaceKind::User) {
            init::become_root()?;
        }
        if !container.no_new_keyring {
            process::join_keyring(&container.state.id)?;
        }
        rustix::process::setsid().cannot(|| "begin a session".into())?;
        let master = self.take_streams()?;
        let program = process::become_user(plan, labels)?;
        channel.send(&Message::Ready, master.as_ref().map(AsFd::as_fd).as_slice())?;
        drop(master);
        if self.waits {
            channel.await_proceed()?;
        }
        process::confine(plan, channel)?;
        Err(program.run())
    }

    /// Puts the standard streams in their places; gives the master of a new terminal.
    fn take_streams(self) -> Result<Option<OwnedFd>> {
        match self.stdio {
            Stdio::Inherit => stdio::take_own_null().map(|()| None),
            Stdio::Fds(fds) => stdio::place(fds).and_then(|()| stdio::take_own_null()).map(|()| None),
            Stdio::Console { size } => {
                let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                    .cannot(|| "open the container's root".into())?;
                let console = Console::open(root, *size)?;
                if self.options.keep_newlines {
                    console.keep_newlines()?;
                }
                console.take(self.plan.process.user.uid).map(Some)
            }
        }
    }
}
