//! A container's first process, from its birth to the program: what happens in the child.

use crate::{
    Stdio,
    error::Cannot,
    gate::Gate,
    hooks::{self, Surroundings},
    process::{self, affinity, program::Program, stdio},
    procfs::Proc,
    rootfs,
    setup::{Groups, Setup},
    sync::{Channel, Message, unexpected},
    sysctl,
};
use rustix::{
    io::Errno,
    process::{Gid, Uid},
    thread,
};
use sampan_sys::{clone, exec::close_on_exec_from};
use sampan_types::{
    Error, Result,
    spec::{NamespaceKind, Status},
    task::Failure,
};
use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Runs in the process just cloned; gives its exit code where it does not become the program. It is in its new
/// namespaces already, unless there are some to join: then it joins them and clones the one that goes on. With a gate it
/// waits there to be started, else `channel` says when.
pub(crate) fn main(
    setup: &Setup<'_>,
    groups: Groups<'_>,
    stdio: &Stdio,
    channel: &Channel,
    gate: Option<Gate>,
) -> i32 {
    let entered = || {
        sampan_sys::signal::reset();
        close_inherited(setup.options.preserve_fds)?;
        groups.entry.enter()?;
        affinity::reset();
        if setup.namespaces.joins_strangers() {
            process::hide()?;
        }
        setup.namespaces.join()
    };
    if let Err(error) = entered() {
        return fail(channel, &error);
    }
    if setup.namespaces.joined.is_empty() {
        return continue_inside(setup, groups, stdio, channel, gate);
    }
    report(channel, || {
        let work = || continue_inside(setup, groups, stdio, channel, gate);
        let child = clone::clone_sibling(setup.namespaces.cloned(), work)
            .cannot(|| "make namespaces beside the joined ones".into())?;
        channel.send(&Message::Cloned { pid: child.pid }, &[child.pidfd.as_fd()])
    })
}

/// Has all descriptors closed at `execve` but the standard streams and those that the program is to have.
pub(crate) fn close_inherited(preserve_fds: u32) -> Result<()> {
    close_on_exec_from(first_inherited(preserve_fds)).cannot(|| "close inherited descriptors".into())
}

fn first_inherited(preserve_fds: u32) -> u32 {
    preserve_fds.saturating_add(3)
}

/// Tells the other side of a failure; gives the exit code.
pub(crate) fn report(channel: &Channel, work: impl FnOnce() -> Result<()>) -> i32 {
    work().map_or_else(|error| fail(channel, &error), |()| 0)
}

fn fail(channel: &Channel, error: &Error) -> i32 {
    // Nobody is left to tell where this fails.
    let _ = channel.send(&Message::Failed(Failure::from(error)), &[]);
    error.kind().exit_code().into()
}

/// Comes back only where the program does not run: who waits for it has been told why.
fn continue_inside(
    setup: &Setup<'_>,
    groups: Groups<'_>,
    stdio: &Stdio,
    channel: &Channel,
    gate: Option<Gate>,
) -> i32 {
    let plan = setup.plan();
    let program = match become_created(setup, groups, stdio, channel, &plan) {
        Ok(program) => program,
        Err(error) => return fail(channel, &error),
    };
    let run = |starter: &Channel| -> Result<()> {
        if !plan.is_confined_early() {
            process::confine(&plan, starter)?;
        }
        start_hooks(setup)?;
        Err(Program::run(&program))
    };
    match gate.map(|gate| gate.wait(channel, first_inherited(setup.options.preserve_fds))) {
        None => report(channel, || channel.await_proceed().and_then(|()| run(channel))),
        Some(Ok(starter)) => report(&starter, || run(&starter)),
        Some(Err(error)) => fail(channel, &error),
    }
}

/// To the *created* point, which the runtime is told of.
fn become_created(
    setup: &Setup<'_>,
    groups: Groups<'_>,
    stdio: &Stdio,
    channel: &Channel,
    plan: &process::Plan<'_>,
) -> Result<Program> {
    process::follow_runtime()?;
    rustix::process::setsid().cannot(|| "begin a session".into())?;
    let trees = if setup.has_user_namespace() { receive_trees(channel)? } else { VecDeque::new() };
    if let Stdio::Fds(fds) = stdio {
        stdio::place(fds)?;
    }
    let labels = setup.labels.prepare()?;
    enter_namespaces(setup)?;
    if setup.has_user_namespace() {
        become_root()?;
    }
    if !setup.options.no_new_keyring {
        // As the container's root, who owns it then, so that execs find it.
        setup.labels.label_keyrings()?;
        process::join_keyring(setup.bundle.id)?;
    }
    let console =
        rootfs::build::build(setup, groups, stdio, trees, |root| run_create_hooks(setup, channel, root))?;
    if console.is_none() {
        stdio::take_own_null()?;
    }
    let master = console.map(|console| console.take(setup.process.user.uid)).transpose()?;
    let program = process::become_user(plan, labels)?;
    if plan.is_confined_early() {
        process::confine(plan, channel)?;
    }
    if setup.options.gate.is_some() {
        // From here on its runtime may go; the gate sees to it that this is meant.
        process::outlive_runtime()?;
    }
    channel.send(&Message::Ready, master.as_ref().map(AsFd::as_fd).as_slice())?;
    Ok(program)
}

/// The trees that the runtime has made, in the order in which they are used.
fn receive_trees(channel: &Channel) -> Result<VecDeque<OwnedFd>> {
    let mut trees = VecDeque::new();
    loop {
        match channel.receive()? {
            Some((Message::Trees { more }, fds)) => {
                trees.extend(fds);
                if !more {
                    return Ok(trees);
                }
            }
            other => return Err(unexpected(other.map(|(message, _)| message))),
        }
    }
}

fn enter_namespaces(setup: &Setup<'_>) -> Result<()> {
    if setup.namespaces.makes(NamespaceKind::Cgroup) {
        clone::unshare_cgroup().cannot(|| "make a control group namespace".into())?;
    }
    if setup.namespaces.makes(NamespaceKind::Network) {
        sampan_sys::netns::bring_loopback_up().cannot(|| "bring the loopback link up".into())?;
    }
    if setup.namespaces.makes(NamespaceKind::Time) {
        setup.namespaces.enter_new_time(setup.linux, &Proc::open()?)?;
    }
    if !setup.linux.sysctl.is_empty() {
        sysctl::apply(setup.linux, &Proc::open()?)?;
    }
    let spec = setup.bundle.spec;
    if let Some(name) = spec.hostname.as_ref().filter(|name| !name.is_empty()) {
        rustix::system::sethostname(name.as_bytes()).cannot(|| format!("set the host name {name:?}"))?;
    }
    if let Some(name) = spec.domainname.as_ref().filter(|name| !name.is_empty()) {
        rustix::system::setdomainname(name.as_bytes()).cannot(|| format!("set the domain name {name:?}"))?;
    }
    Ok(())
}

/// Takes the ids of the user namespace's root, so that what is made from here on belongs to it.
pub(crate) fn become_root() -> Result<()> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    match thread::set_thread_groups(&[]) {
        Ok(()) | Err(Errno::PERM) => {}
        Err(errno) => return Err(errno).cannot(|| "drop the supplementary groups".into()),
    }
    match thread::set_thread_res_gid(gid, gid, gid).and_then(|()| thread::set_thread_res_uid(uid, uid, uid)) {
        // A namespace without a root of its own.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(errno).cannot(|| "become the container's root".into()),
    }
}

fn run_create_hooks(setup: &Setup<'_>, channel: &Channel, root: BorrowedFd<'_>) -> Result<()> {
    let Some(all) = &setup.bundle.spec.hooks else { return Ok(()) };
    if !(all.prestart.is_empty() && all.create_runtime.is_empty()) {
        channel.send(&Message::Hooks, &[])?;
        channel.await_proceed()?;
    }
    if all.create_container.is_empty() {
        return Ok(());
    }
    // Where they find the new root.
    rustix::process::fchdir(root).cannot(|| "enter the root filesystem".into())?;
    let state = own_state(setup, Status::Creating);
    hooks::run("createContainer", &all.create_container, &state, Surroundings::default())
}

fn start_hooks(setup: &Setup<'_>) -> Result<()> {
    let Some(all) = &setup.bundle.spec.hooks else { return Ok(()) };
    let surroundings = Surroundings { env: &setup.process.env, directory: None };
    hooks::run("startContainer", &all.start_container, &own_state(setup, Status::Created), surroundings)
}

fn own_state(setup: &Setup<'_>, status: Status) -> sampan_types::spec::State {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    hooks::state(setup.bundle.id, setup.bundle.spec, setup.bundle.path, status, pid)
}
