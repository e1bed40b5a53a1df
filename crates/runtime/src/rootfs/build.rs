//! The order of it all.

use super::{
    cgroupfs::Hierarchies,
    console::Console,
    devices::{self, Nodes},
    enter,
    mounts::{self, Place, Rootfs},
    options::Bind,
    paths,
    trees::{self, Container},
};
use crate::{
    Stdio,
    setup::{Groups, Root, Setup},
};
use rustix::fs::Mode;
use sampan_sys::mount::{Change, Propagation};
use sampan_types::{Result, spec::NamespaceKind};
use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// From the host's root to the container's, in the child. `trees` are those that the runtime has made ([`make_trees`]), in
/// that order; `hooks` runs those that come before the old root is given up, and is told where the new one is.
pub(crate) fn build(
    setup: &Setup<'_>,
    groups: Groups<'_>,
    stdio: &Stdio,
    mut trees: VecDeque<OwnedFd>,
    hooks: impl FnOnce(BorrowedFd<'_>) -> Result<()>,
) -> Result<Option<Console>> {
    let directory = directory(setup);
    let bare = if setup.options.no_pivot { enter::bare_mounts(directory)? } else { Vec::new() };
    // Modes are what the specification says; the caller's mask is for its own files.
    let mask = rustix::process::umask(Mode::empty());
    if enter::separate(setup.linux, setup.has_user_namespace())? {
        // What is bound from there is to be shared with the host, and where the root is put is not.
        if !setup.has_user_namespace() {
            make_bind_trees(setup, &place(setup, None), &mut trees)?;
        }
        enter::separate_place(directory)?;
    }
    let root = mount_root(setup, &mut trees)?;
    let over_the_old = enter::attach_root(&root, directory)?;
    let mut rootfs = Rootfs::new(root, place(setup, None));
    make_mounts(&mut rootfs, setup, groups, trees)?;
    let console = match stdio {
        Stdio::Console { size } => {
            let console = Console::open(&rootfs.root, *size)?;
            console.bind(&rootfs.root)?;
            Some(console)
        }
        _ => None,
    };
    rustix::process::umask(mask);
    hooks(rootfs.root.as_fd())?;
    paths::make_read_only(&rootfs, &setup.linux.readonly_paths)?;
    paths::mask(&rootfs, &setup.linux.masked_paths)?;
    let read_only = setup.bundle.spec.root.as_ref().is_some_and(|root| root.readonly)
        || matches!(setup.root, Root::Directory { read_only: true, .. });
    rootfs.seal(read_only)?;
    if setup.options.no_pivot {
        enter::cover(&rootfs.root, over_the_old, &bare)?;
    } else {
        enter::pivot(&rootfs.root, setup.linux)?;
    }
    enter::propagate(setup.linux)?;
    Ok(console)
}

fn make_mounts(
    rootfs: &mut Rootfs<'_>,
    setup: &Setup<'_>,
    groups: Groups<'_>,
    mut trees: VecDeque<OwnedFd>,
) -> Result<()> {
    let hierarchies = Hierarchies {
        layout: groups.cgroup.layout(),
        path: groups.cgroup.path(),
        namespace: setup.namespaces.has(NamespaceKind::Cgroup),
        joined: setup.namespaces.has(NamespaceKind::Cgroup) && !setup.namespaces.makes(NamespaceKind::Cgroup),
    };
    let mut own_dev = true;
    for (mount, options) in &setup.mounts {
        let tree = if rootfs.place.beforehand(mount, options) { trees.pop_front() } else { None };
        rootfs.mount(mount, options, tree, &hierarchies)?;
        own_dev &= options.bind.is_none() || mounts::relative(&mount.destination) != Path::new("dev");
    }
    // A /dev that is the host's has all that it needs, and none of it is ours to change.
    if own_dev {
        let nodes = if setup.has_user_namespace() { Nodes::Bound } else { Nodes::Made };
        devices::populate(rootfs, &setup.linux.devices, nodes)?;
    }
    Ok(())
}

/// The trees that the runtime makes for a container with a user namespace, in the order in which they are used: the root's
/// first, then those of bind mounts.
pub(crate) fn make_trees(setup: &Setup<'_>, userns: &OwnedFd) -> Result<Vec<OwnedFd>> {
    let mut made = Vec::new();
    if !setup.makes_trees {
        return Ok(made);
    }
    for path in setup.root_directories() {
        let plain = matches!(setup.root, Root::Plain(_));
        let tree = trees::clone(path, if plain { Bind::All } else { Bind::One })?;
        // A clone is a peer of a shared mount: what is mounted on it inside would appear on the host.
        let propagation = Some(Propagation::Slave);
        // A bundle's directory is the caller's affair: its ids are as the specification says.
        let idmap = if plain { None } else { Some(userns.as_fd()) };
        Change { idmap, propagation, recursive: plain, ..Change::default() }
            .apply(&tree)
            .map_err(|error| trees::explain(error, format!("cannot map ids of {}", path.display())))?;
        made.push(tree);
    }
    make_bind_trees(setup, &place(setup, Some(userns.as_fd())), &mut made)?;
    Ok(made)
}

/// Those of bind mounts that are made before the root is.
fn make_bind_trees(setup: &Setup<'_>, place: &Place<'_>, made: &mut impl Extend<OwnedFd>) -> Result<()> {
    for (mount, options) in &setup.mounts {
        if place.beforehand(mount, options)
            && let Some(bind) = options.bind
        {
            made.extend([place.container.bound(mount, options, bind)?]);
        }
    }
    Ok(())
}

fn place<'a>(setup: &'a Setup<'_>, userns: Option<BorrowedFd<'a>>) -> Place<'a> {
    Place {
        container: Container { bundle: setup.bundle.path, userns, idmaps: &setup.idmaps },
        directory: directory(setup),
        user_namespace: setup.has_user_namespace(),
        trees_beforehand: setup.makes_trees || !setup.has_user_namespace() && enter::is_shared(setup.linux),
        own_pids: setup.namespaces.has(NamespaceKind::Pid),
        own_queues: setup.namespaces.has(NamespaceKind::Ipc),
        label: setup.linux.mount_label.as_deref().filter(|label| !label.is_empty()),
    }
}

/// Where the host has the root filesystem's directory.
fn directory<'a>(setup: &'a Setup<'_>) -> Option<&'a Path> {
    match &setup.root {
        Root::Plain(path) => Some(path),
        Root::Directory { .. } | Root::Union { .. } => None,
    }
}

fn mount_root(setup: &Setup<'_>, trees: &mut VecDeque<OwnedFd>) -> Result<OwnedFd> {
    let mut given = || if setup.makes_trees { trees.pop_front() } else { None };
    let mut bind = |path: &Path, bind: Bind| given().map_or_else(|| trees::clone(path, bind), Ok);
    match &setup.root {
        Root::Plain(path) => bind(path, Bind::All),
        Root::Directory { source, .. } => bind(source, Bind::One),
        Root::Union { union, .. } if !setup.makes_trees => union.mount(),
        Root::Union { union, anchors } => {
            let count = union.cloned(anchors).len().min(trees.len());
            union.mount_from(anchors, trees.drain(..count).collect())
        }
    }
}

/// Whether the mounts of a specification can be labelled as it says. The words of the refusal are runc's.
pub(crate) fn check_label(label: Option<&str>) -> Result<()> {
    /// linux/magic.h
    const SELINUX_MAGIC: i64 = 0xf97c_ff8c;
    if label.is_none_or(str::is_empty) {
        return Ok(());
    }
    match rustix::fs::statfs("/sys/fs/selinux") {
        Ok(stat) if stat.f_type == SELINUX_MAGIC => Ok(()),
        Ok(_) | Err(_) => {
            let why = "selinux label is specified in config, but selinux is disabled or not supported";
            Err(crate::error::invalid(format!("invalid label {:?}", label.unwrap_or_default()), why))
        }
    }
}
