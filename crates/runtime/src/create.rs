//! From a bundle to the *created* point: the runtime's side.

use crate::{
    Bundle, Container, Options, Stdio,
    cgroup::{Cgroup, Wanted},
    container::reap,
    error::Cannot,
    gate::Gate,
    hooks::{self, Surroundings},
    idmap::{self, write_file},
    init,
    intel_rdt::{Rdt, RdtRecord},
    net_devices,
    process::{Inherited, rlimits, stdio},
    rootfs,
    seccomp::notify,
    setup::{Groups, Setup},
    sync::{Channel, MAX_FDS, Message, unexpected},
};
use sampan_sys::{
    clone::{self, Child},
    exec::close_in_child,
};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{Linux, NamespaceKind, Status},
};
use std::os::fd::{AsFd, OwnedFd};

/// Makes a container and leaves it at the *created* point: all is there, the program has not been run.
///
/// Init is a child of the caller. Namespaces by path are joined (a user namespace first), the others are new. The
/// program is looked up in the container's `PATH` already here: [`ErrorKind::CommandNotFound`] and
/// [`ErrorKind::NotExecutable`] name it. What fails is undone.
pub fn create(bundle: Bundle<'_>, stdio: Stdio, options: Options) -> Result<Container> {
    let mut setup = Setup::read(bundle, options)?;
    let rdt = Rdt::of(setup.linux, bundle.id)?;
    let mut cgroup = Cgroup::of(Wanted {
        id: bundle.id,
        linux: setup.linux,
        annotations: &bundle.spec.annotations,
        driver: setup.options.cgroup,
        rootless: setup.options.rootless,
    })?;
    // Whoever has a user namespace can make no device nodes.
    let guarded = !setup.has_user_namespace();
    setup.warnings.extend(cgroup.create(setup.linux.resources.as_ref(), guarded)?);
    // The first failure is the one to tell, whatever tidying up after it comes to.
    let made = match prepare(&setup, &cgroup, rdt.as_ref(), &stdio) {
        Ok(made) => made,
        Err(error) => {
            let _ = cgroup.kill_all().and_then(|()| cgroup.delete());
            let _ = run_stop_hooks(&setup);
            return Err(error);
        }
    };
    let Setup { bundle, linux, namespaces, maps, filter, personality, warnings, options, .. } = setup;
    Ok(Container {
        pid: made.child.pid,
        pidfd: Some(made.child.pidfd),
        start_time: made.start_time,
        console: made.console,
        entry: Some(made.entry),
        rdt: made.rdt,
        channel: Some(made.channel),
        gate: options.gate,
        no_new_keyring: options.no_new_keyring,
        cgroup,
        warnings,
        hooks: bundle.spec.hooks.clone(),
        inherited: Inherited::of(bundle.spec.process.as_ref()),
        state: hooks::state(bundle.id, bundle.spec, bundle.path, Status::Created, made.child.pid),
        linux: linux.clone(),
        namespaces,
        maps,
        filter,
        personality,
    })
}

/// A child at the *created* point.
struct Made {
    child: Child,
    start_time: u64,
    console: Option<OwnedFd>,
    entry: crate::cgroup::Entry,
    rdt: Option<RdtRecord>,
    channel: Channel,
}

fn prepare(setup: &Setup<'_>, cgroup: &Cgroup, rdt: Option<&Rdt<'_>>, stdio: &Stdio) -> Result<Made> {
    if setup.options.delegate_cgroup {
        delegate(setup, cgroup)?;
    }
    stdio::give(stdio, setup.process.user.uid, setup.maps.as_ref())?;
    let entry = cgroup.entry()?;
    let (channel, theirs) = Channel::pair()?;
    // One clone for all namespaces; with some to join, the first child makes the others after it has joined.
    let joins = !setup.namespaces.joined.is_empty();
    let new = if joins { rustix::thread::UnshareFlags::empty() } else { setup.namespaces.cloned() };
    let groups = Groups { cgroup, entry: &entry };
    let gate = setup.options.gate.as_deref().map(Gate::bind).transpose()?;
    let work = || {
        close_in_child(channel.as_fd());
        init::main(setup, groups, stdio, &theirs, gate)
    };
    let first = clone::clone(new, entry.directory(), work).map_err(explain_clone)?;
    drop(theirs);
    cgroup.admit(&entry, first.pid).inspect_err(|_| {
        // The first failure is the one to tell.
        let _ = reap(&first.pidfd);
    })?;
    let child = if joins { second_child(&channel, first)? } else { first };
    let made = rdt.map(|rdt| rdt.create(child.pid)).transpose();
    let made = made.and_then(|rdt| match accompany(setup, &channel, &child) {
        Ok(console) => Ok((console, rdt)),
        Err(error) => {
            // The first failure is the one to tell.
            let _ = rdt.map(|rdt| rdt.delete());
            Err(error)
        }
    });
    match made {
        Ok((console, rdt)) => {
            let start_time =
                sampan_sys::process::start_time(child.pid).cannot(|| "read init's start time".into())?;
            Ok(Made { child, start_time, console, entry, rdt, channel })
        }
        Err(error) => {
            // The first failure is the one to tell.
            let _ = reap(&child.pidfd);
            Err(error)
        }
    }
}

fn delegate(setup: &Setup<'_>, cgroup: &Cgroup) -> Result<()> {
    let Some(maps) = &setup.maps else { return Ok(()) };
    match (maps.host_uid(0), maps.host_gid(0)) {
        (Some(uid), Some(gid)) => cgroup.delegate(uid, gid),
        _ => Err(crate::error::invalid(
            "cannot delegate the control group",
            "the container's user namespace has no root",
        )),
    }
}

/// The process that goes on after the first one has joined namespaces and made it.
fn second_child(channel: &Channel, first: Child) -> Result<Child> {
    let answer = channel.expect("join namespaces");
    // It has nothing more to do, whatever it has said.
    let reaped = reap(&first.pidfd);
    match answer? {
        (Message::Cloned { pid }, mut fds) if fds.len() == 1 => {
            reaped?;
            fds.pop().map(|pidfd| Child { pid, pidfd }).ok_or_else(|| unexpected(None))
        }
        (message, _) => Err(unexpected(Some(message))),
    }
}

/// The runtime's part of the child's way to *created*.
fn accompany(setup: &Setup<'_>, channel: &Channel, child: &Child) -> Result<Option<OwnedFd>> {
    if setup.namespaces.makes(NamespaceKind::User)
        && let Some(maps) = &setup.maps
    {
        maps.write(child.pid)?;
    }
    rlimits::raise(child.pid, &setup.process.rlimits)?;
    if !setup.linux.net_devices.is_empty() {
        let netns = idmap::open_namespace(child.pid, "net")?;
        net_devices::move_all(setup.linux, netns.as_fd())?;
    }
    if let Some(value) = setup.process.oom_score_adj {
        write_file(&format!("/proc/{}/oom_score_adj", child.pid), &value.to_string())?;
    }
    if setup.has_user_namespace() {
        let userns = idmap::open(child.pid)?;
        send_trees(channel, &rootfs::build::make_trees(setup, &userns)?)?;
    }
    let mut fds = loop {
        match channel.expect("create the container")? {
            (Message::Ready, fds) => break fds,
            (Message::Hooks, _) => run_hooks(setup, child.pid)?,
            (Message::Listener { fd }, _) => forward_listener(setup, child, fd)?,
            (message, _) => return Err(unexpected(Some(message))),
        }
        channel.tell(&Message::Proceed, &[])?;
    };
    setup.scheduling.apply(child.pid, has_cpuset(setup.linux))?;
    Ok(fds.pop())
}

/// Gives the agent of the profile the descriptor on which to answer init's calls.
fn forward_listener(setup: &Setup<'_>, child: &Child, fd: i32) -> Result<()> {
    let Some(profile) = &setup.linux.seccomp else { return Ok(()) };
    let bundle = &setup.bundle;
    let state = hooks::state(bundle.id, bundle.spec, bundle.path, Status::Creating, child.pid);
    notify::forward(profile, child.pidfd.as_fd(), child.pid, fd, state)
}

/// One packet at least: it says that the ids are mapped, too.
fn send_trees(channel: &Channel, trees: &[OwnedFd]) -> Result<()> {
    let mut rest = trees;
    loop {
        let (batch, after) = rest.split_at(rest.len().min(MAX_FDS));
        let fds: Vec<_> = batch.iter().map(AsFd::as_fd).collect();
        channel.tell(&Message::Trees { more: !after.is_empty() }, &fds)?;
        if after.is_empty() {
            return Ok(());
        }
        rest = after;
    }
}

/// Those that are due when the namespaces are there.
pub(crate) fn run_hooks(setup: &Setup<'_>, pid: i32) -> Result<()> {
    let Some(all) = &setup.bundle.spec.hooks else { return Ok(()) };
    let bundle = &setup.bundle;
    let state = hooks::state(bundle.id, bundle.spec, bundle.path, Status::Creating, pid);
    let surroundings = Surroundings { directory: Some(bundle.path), ..Surroundings::default() };
    hooks::run("prestart", &all.prestart, &state, surroundings)?;
    hooks::run("createRuntime", &all.create_runtime, &state, surroundings)
}

/// Also a container that never was created has come to its end (runtime.md, "Lifecycle").
pub(crate) fn run_stop_hooks(setup: &Setup<'_>) -> Result<()> {
    let Some(all) = &setup.bundle.spec.hooks else { return Ok(()) };
    let bundle = &setup.bundle;
    let state = hooks::state(bundle.id, bundle.spec, bundle.path, Status::Stopped, 0);
    let surroundings = Surroundings { directory: Some(bundle.path), ..Surroundings::default() };
    hooks::run("poststop", &all.poststop, &state, surroundings)
}

/// Whether its control group has only some of the machine's processors.
pub(crate) fn has_cpuset(linux: &Linux) -> bool {
    let cpu = linux.resources.as_ref().and_then(|resources| resources.cpu.as_ref());
    cpu.and_then(|cpu| cpu.cpus.as_ref()).is_some_and(|cpus| !cpus.is_empty())
}

fn explain_clone(error: std::io::Error) -> Error {
    let what = "cannot clone a process into new namespaces";
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOSPC | rustix::io::Errno::USERS) => Error::new(ErrorKind::Exhausted, what)
            .because(error)
            .hint("raise the limits in /proc/sys/user/max_*_namespaces"),
        Some(rustix::io::Errno::PERM) => Error::new(ErrorKind::PermissionDenied, what)
            .because(error)
            .hint("namespaces other than the user namespace need root, or a user namespace around them"),
        _ => Error::io(what, error),
    }
}
