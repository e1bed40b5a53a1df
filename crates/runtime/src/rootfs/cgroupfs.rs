//! The control groups as a container sees them: its own group of each of the host's hierarchies, bound.
//!
//! In a control group namespace of its own that is what a mount of its own would show (its root is the group that its maker was
//! in), for one system call instead of five; only for a namespace that was joined, whose root is another group, the hierarchies
//! are mounted.

use super::{
    filesystem::Filesystem,
    mounts::Rootfs,
    options::{Bind, Options},
    trees,
};
use crate::{
    cgroup::{Hierarchy, Layout, ROOT},
    error::Cannot,
};
use rustix::{fs::Mode, mount::MoveMountFlags};
use sampan_sys::mount::{Attr, Change};
use sampan_types::{ErrorKind, Result, spec::Mount};
use std::{os::fd::OwnedFd, path::Path};

/// What there is to mount.
#[derive(Debug)]
pub(crate) struct Hierarchies<'a> {
    /// The host's layout.
    pub(crate) layout: &'a Layout,
    /// The container's group.
    pub(crate) path: &'a str,
    /// Whether it has a cgroup namespace.
    pub(crate) namespace: bool,
    /// Whether that one was made by somebody else.
    pub(crate) joined: bool,
}

impl Hierarchies<'_> {
    /// Whether the host has version 2 only.
    pub(crate) fn is_unified(&self) -> bool {
        self.layout.v1.is_empty()
    }

    /// The container's group of a hierarchy; `None` where it is to be mounted by itself.
    fn bound(&self, hierarchy: &Hierarchy) -> Result<Option<OwnedFd>> {
        if self.joined {
            return Ok(None);
        }
        match trees::clone(&hierarchy.directory(self.path), Bind::One) {
            // An ordinary user may have no group of its own.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            bound => bound.map(Some),
        }
    }
}

/// The version 2 hierarchy.
pub(crate) fn unified(hierarchies: &Hierarchies<'_>, options: &Options<'_>) -> Result<OwnedFd> {
    let attr = options.attributes.of_new();
    let known = hierarchies.layout.unified.as_ref();
    let tree = match known.map(|hierarchy| hierarchies.bound(hierarchy)).transpose()?.flatten() {
        Some(bound) => bound,
        None => {
            let mount = known.map_or(Path::new(ROOT), |hierarchy| &hierarchy.mount);
            or_the_hosts(mount, version_2(options, attr))?
        }
    };
    dress(&tree, attr, false)?;
    Ok(tree)
}

/// A hierarchy that could be mounted, or the host's mount: without a control group namespace of its own, or a group, an ordinary
/// user may only look at that one.
fn or_the_hosts(mount: &Path, made: Result<OwnedFd>) -> Result<OwnedFd> {
    match made {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => trees::clone(mount, Bind::All),
        made => made,
    }
}

/// Version 1: a tmpfs with a directory for each hierarchy, and one for version 2 in the hybrid layout.
pub(crate) fn mount_hierarchies(
    rootfs: &mut Rootfs<'_>,
    mount: &Mount,
    options: &Options<'_>,
    hierarchies: &Hierarchies<'_>,
) -> Result<()> {
    let attr = options.attributes.of_new();
    let filesystem = Filesystem::open("tmpfs")?;
    filesystem.set("source", b"tmpfs")?;
    filesystem.set("mode", b"755")?;
    let base = filesystem.mount(attr.without(Attr::RDONLY))?;
    // Attached before it is filled: before Linux 6.15 nothing can be mounted on a detached mount.
    let filled = base.try_clone().cannot(|| "keep a mount".into())?;
    rootfs.attach(base, &mount.destination, options)?;
    for hierarchy in &hierarchies.layout.v1 {
        match hierarchies.bound(hierarchy)? {
            Some(tree) => place(&filled, hierarchy.name(), &tree)?,
            None if hierarchies.namespace => {
                place(&filled, hierarchy.name(), &or_the_hosts(&hierarchy.mount, version_1(hierarchy))?)?;
            }
            None => continue,
        }
        link_controllers(&filled, hierarchy.name())?;
    }
    if let Some(hierarchy) = &hierarchies.layout.unified {
        match hierarchies.bound(hierarchy)? {
            Some(tree) => place(&filled, "unified", &tree)?,
            None if hierarchies.namespace => {
                let made = Filesystem::open("cgroup2")?.mount(Attr::default());
                place(&filled, "unified", &or_the_hosts(&hierarchy.mount, made)?)?;
            }
            None => {}
        }
    }
    dress(&filled, attr, true)?;
    if attr.contains(Attr::RDONLY) {
        // There may be mounts to come whose mount points are missing.
        Change { clear: Attr::RDONLY, ..Change::default() }
            .apply(&filled)
            .cannot(|| "keep the control groups' mount writable".into())?;
        rootfs.seal_later(filled);
    }
    Ok(())
}

/// Bits are only added: in a user namespace the host's are locked.
fn dress(tree: &OwnedFd, attr: Attr, recursive: bool) -> Result<()> {
    let set = attr.without(Attr::ATIME).without(Attr::NODIRATIME);
    Change { set, recursive, ..Change::default() }
        .apply(tree)
        .cannot(|| "set options of a control group's mount".into())
}

fn version_2(options: &Options<'_>, attr: Attr) -> Result<OwnedFd> {
    let filesystem = Filesystem::open("cgroup2")?;
    filesystem.set("source", b"cgroup")?;
    filesystem.set_all(options)?;
    filesystem.mount(attr)
}

fn version_1(hierarchy: &Hierarchy) -> Result<OwnedFd> {
    let filesystem = Filesystem::open("cgroup")?;
    filesystem.set("source", b"cgroup")?;
    match hierarchy.controllers.strip_prefix("name=") {
        Some(name) => filesystem.set("name", name.as_bytes())?,
        None => {
            hierarchy.controllers.split(',').try_for_each(|controller| filesystem.set_flag(controller))?
        }
    }
    filesystem.mount(Attr::default())
}

/// On a tmpfs that is ours alone, names are safe: it has nothing but what is made here.
fn place(base: &OwnedFd, name: &str, tree: &OwnedFd) -> Result<()> {
    rustix::fs::mkdirat(base, name, Mode::from_raw_mode(0o755))
        .and_then(|()| {
            rustix::mount::move_mount(tree, "", base, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        })
        .cannot(|| format!("attach the control groups of {name}"))
}

/// `cpu` and `cpuacct` lead to `cpu,cpuacct`.
fn link_controllers(base: &OwnedFd, name: &str) -> Result<()> {
    if !name.contains(',') {
        return Ok(());
    }
    name.split(',').try_for_each(|controller| {
        rustix::fs::symlinkat(name, base, controller).cannot(|| format!("link {controller} to {name}"))
    })
}
