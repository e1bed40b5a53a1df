//! A container's first process, from its birth to the program: what happens in the child.

use crate::{
    Stdio,
    error::Cannot,
    gate::Gate,
    hooks,
    process::{self, program::Program, stdio},
    rootfs::{
        self,
        cgroupfs::Hierarchies,
        console::Console,
        devices::{self, Nodes},
        mounts::Rootfs,
        options::{self, Bind},
        paths, trees,
    },
    setup::{Groups, Root, Setup},
    sync::{Channel, Message, unexpected},
    sysctl,
};
use rustix::{
    io::Errno,
    process::{Gid, Uid},
    thread,
};
use sampan_sys::{
    clone,
    exec::close_on_exec_from,
    mount::{Change, Propagation},
};
use sampan_types::{
    Error, Result,
    spec::{NamespaceKind, Status},
    task::Failure,
};
use std::{
    collections::VecDeque,
    ffi::CString,
    os::fd::{AsFd, OwnedFd},
    path::Path,
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
    let run = || -> Result<()> {
        start_hooks(setup)?;
        process::confine(&plan)?;
        Err(Program::run(&program))
    };
    match gate.map(|gate| gate.wait(channel, first_inherited(setup.options.preserve_fds))) {
        None => report(channel, || channel.await_proceed().and_then(|()| run())),
        Some(Ok(starter)) => report(&starter, run),
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
    let mut trees = if setup.has_user_namespace() { receive_trees(channel)? } else { VecDeque::new() };
    if let Stdio::Fds(fds) = stdio {
        stdio::place(fds)?;
    }
    enter_namespaces(setup)?;
    if setup.has_user_namespace() {
        become_root()?;
    }
    let console = build_root(setup, groups, stdio, channel, &mut trees)?;
    if let Some(domain) = setup.personality {
        sampan_sys::exec::set_personality(domain).cannot(|| "set the personality".into())?;
    }
    let master = console.map(|console| console.take(setup.process.user.uid)).transpose()?;
    let program = process::become_user(plan)?;
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
    if !setup.options.no_new_keyring {
        join_keyring(setup.bundle.id)?;
    }
    sysctl::apply(setup.linux)?;
    let spec = setup.bundle.spec;
    if let Some(name) = spec.hostname.as_ref().filter(|name| !name.is_empty()) {
        rustix::system::sethostname(name.as_bytes()).cannot(|| format!("set the host name {name:?}"))?;
    }
    if let Some(name) = spec.domainname.as_ref().filter(|name| !name.is_empty()) {
        rustix::system::setdomainname(name.as_bytes()).cannot(|| format!("set the domain name {name:?}"))?;
    }
    Ok(())
}

fn join_keyring(id: &str) -> Result<()> {
    let name = CString::new(format!("_ses.{id}")).cannot(|| "name the session keyring".into())?;
    match sampan_sys::exec::join_session_keyring(&name).map_err(|error| Errno::from_io_error(&error)) {
        // A kernel without keys has none to share.
        Ok(()) | Err(Some(Errno::NOSYS)) => Ok(()),
        Err(errno) => Err(errno.unwrap_or(Errno::IO)).cannot(|| "join a session keyring".into()),
    }
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

/// From the host's root to the container's.
fn build_root(
    setup: &Setup<'_>,
    groups: Groups<'_>,
    stdio: &Stdio,
    channel: &Channel,
    trees: &mut VecDeque<OwnedFd>,
) -> Result<Option<Console>> {
    let spec = setup.bundle.spec;
    rootfs::separate(setup.linux, setup.has_user_namespace())?;
    let root = mount_root(setup, trees)?;
    rootfs::attach_root(&root)?;
    let mut rootfs = Rootfs::new(root, setup.bundle.path);
    let hierarchies = Hierarchies {
        layout: groups.cgroup.layout(),
        path: groups.cgroup.path(),
        namespace: setup.namespaces.has(NamespaceKind::Cgroup),
    };
    let mut own_dev = true;
    for (mount, options) in &setup.mounts {
        let tree = if options.bind.is_some() { trees.pop_front() } else { None };
        rootfs.mount(mount, options, tree, &hierarchies)?;
        own_dev &= options.bind.is_none() || rootfs::mounts::relative(&mount.destination) != Path::new("dev");
    }
    // A /dev that is the host's has all that it needs, and none of it is ours to change.
    if own_dev {
        let nodes = if setup.has_user_namespace() { Nodes::Bound } else { Nodes::Made };
        devices::populate(&mut rootfs, &setup.linux.devices, nodes)?;
    }
    let console = match stdio {
        Stdio::Console { size } => {
            let console = Console::open(&rootfs.root, *size)?;
            console.bind(&rootfs.root)?;
            Some(console)
        }
        _ => None,
    };
    run_create_hooks(setup, channel)?;
    paths::make_read_only(&rootfs, &setup.linux.readonly_paths)?;
    paths::mask(&rootfs, &setup.linux.masked_paths)?;
    let read_only = spec.root.as_ref().is_some_and(|root| root.readonly)
        || matches!(setup.root, Root::Directory { read_only: true, .. });
    rootfs.seal(read_only)?;
    rootfs::pivot(&rootfs.root, setup.linux)?;
    rootfs::propagate(setup.linux)?;
    Ok(console)
}

fn mount_root(setup: &Setup<'_>, trees: &mut VecDeque<OwnedFd>) -> Result<OwnedFd> {
    let mut bind = |path: &Path, bind: Bind| match trees.pop_front() {
        Some(tree) => Ok(tree),
        None => trees::clone(path, bind),
    };
    match &setup.root {
        Root::Plain(path) => bind(path, Bind::All),
        Root::Directory { source, .. } => bind(source, Bind::One),
        Root::Union { union, .. } if trees.is_empty() => union.mount(),
        Root::Union { union, anchors } => {
            let count = union.cloned(anchors).len().min(trees.len());
            union.mount_from(anchors, trees.drain(..count).collect())
        }
    }
}

/// The trees that the runtime makes for a container with a user namespace, in the order in which they are used: the root's
/// first, then those of bind mounts.
pub(crate) fn make_trees(setup: &Setup<'_>, userns: &OwnedFd) -> Result<Vec<OwnedFd>> {
    let mut made = Vec::new();
    for path in setup.root_directories() {
        let plain = matches!(setup.root, Root::Plain(_));
        let tree = trees::clone(path, if plain { Bind::All } else { Bind::One })?;
        // A clone is a peer of a shared mount: what is mounted on it inside would appear on the host.
        let propagation = Some(Propagation::Private);
        // A bundle's directory is the caller's affair: its ids are as the specification says.
        let idmap = if plain { None } else { Some(userns.as_fd()) };
        Change { idmap, propagation, recursive: plain, ..Change::default() }
            .apply(&tree)
            .map_err(|error| trees::explain(error, format!("cannot map ids of {}", path.display())))?;
        made.push(tree);
    }
    for (mount, options) in &setup.mounts {
        let options: &options::Options<'_> = options;
        if let Some(bind) = options.bind {
            made.push(trees::bound(mount, options, bind, setup.bundle.path, Some(userns.as_fd()))?);
        }
    }
    Ok(made)
}

fn run_create_hooks(setup: &Setup<'_>, channel: &Channel) -> Result<()> {
    let Some(all) = &setup.bundle.spec.hooks else { return Ok(()) };
    if !(all.prestart.is_empty() && all.create_runtime.is_empty()) {
        channel.send(&Message::Hooks, &[])?;
        channel.await_proceed()?;
    }
    hooks::run("createContainer", &all.create_container, &own_state(setup, Status::Creating), &[])
}

fn start_hooks(setup: &Setup<'_>) -> Result<()> {
    let Some(all) = &setup.bundle.spec.hooks else { return Ok(()) };
    hooks::run("startContainer", &all.start_container, &own_state(setup, Status::Created), &setup.process.env)
}

fn own_state(setup: &Setup<'_>, status: Status) -> sampan_types::spec::State {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    hooks::state(setup.bundle.id, setup.bundle.spec, setup.bundle.path, status, pid)
}
