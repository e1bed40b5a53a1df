//! The control groups as a container sees them.
//!
//! With a cgroup namespace, mounts of its own whose root is the container's group; without one, the container's
//! group of the host's mounts, bound.

use super::{
    filesystem::Filesystem,
    mounts::{Rootfs, attach},
    options::{Bind, Options},
    target::Missing,
    trees,
};
use crate::{
    cgroup::{Hierarchy, Layout},
    error::Cannot,
};
use rustix::fs::{Mode, OFlags};
use sampan_sys::mount::Attr;
use sampan_types::{Result, spec::Mount};
use std::os::fd::OwnedFd;

/// What there is to mount.
#[derive(Debug)]
pub(crate) struct Hierarchies<'a> {
    /// The host's layout.
    pub(crate) layout: &'a Layout,
    /// The container's group.
    pub(crate) path: &'a str,
    /// Whether it has a cgroup namespace.
    pub(crate) namespace: bool,
}

impl Hierarchies<'_> {
    /// Whether the host has version 2 only.
    pub(crate) fn is_unified(&self) -> bool {
        self.layout.v1.is_empty()
    }
}

/// The version 2 hierarchy.
pub(crate) fn unified(hierarchies: &Hierarchies<'_>, options: &Options<'_>) -> Result<OwnedFd> {
    match (&hierarchies.layout.unified, hierarchies.namespace) {
        (Some(hierarchy), false) => bound(hierarchy, hierarchies.path, options.set),
        _ => {
            let filesystem = Filesystem::open("cgroup2")?;
            filesystem.set("source", b"cgroup")?;
            for option in &options.filesystem {
                filesystem.set_option(option)?;
            }
            filesystem.mount(options.set)
        }
    }
}

/// Version 1: a tmpfs with a directory for each hierarchy, and one for version 2 in the hybrid layout.
pub(crate) fn mount_hierarchies(
    rootfs: &mut Rootfs<'_>,
    mount: &Mount,
    options: &Options<'_>,
    hierarchies: &Hierarchies<'_>,
) -> Result<()> {
    let filesystem = Filesystem::open("tmpfs")?;
    filesystem.set("source", b"tmpfs")?;
    filesystem.set("mode", b"755")?;
    let base = filesystem.mount(options.set.without(Attr::RDONLY))?;
    // Attached before it is filled: on older kernels nothing can be mounted on a detached mount.
    let filled = base.try_clone().cannot(|| "keep a mount".into())?;
    rootfs.attach(base, &mount.destination, Missing::Directory, options)?;
    for hierarchy in &hierarchies.layout.v1 {
        let tree = match hierarchies.namespace {
            true => version_1(hierarchy, options.set)?,
            false => bound(hierarchy, hierarchies.path, options.set)?,
        };
        place(&filled, hierarchy.name(), &tree)?;
        link_controllers(&filled, hierarchy.name())?;
    }
    if let Some(hierarchy) = &hierarchies.layout.unified {
        let tree = match hierarchies.namespace {
            true => Filesystem::open("cgroup2")?.mount(options.set)?,
            false => bound(hierarchy, hierarchies.path, options.set)?,
        };
        place(&filled, "unified", &tree)?;
    }
    if options.set.bits() & Attr::RDONLY.bits() != 0 {
        rootfs.seal_later(std::os::fd::AsFd::as_fd(&filled))?;
    }
    Ok(())
}

fn version_1(hierarchy: &Hierarchy, attr: Attr) -> Result<OwnedFd> {
    let filesystem = Filesystem::open("cgroup")?;
    filesystem.set("source", b"cgroup")?;
    match hierarchy.controllers.strip_prefix("name=") {
        Some(name) => filesystem.set("name", name.as_bytes())?,
        None => {
            hierarchy.controllers.split(',').try_for_each(|controller| filesystem.set_flag(controller))?
        }
    }
    filesystem.mount(attr)
}

fn bound(hierarchy: &Hierarchy, path: &str, attr: Attr) -> Result<OwnedFd> {
    let tree = trees::clone(&hierarchy.directory(path), Bind::One)?;
    let options = Options { set: attr, ..Options::default() };
    trees::apply(&tree, &options).cannot(|| "set options of a control group's mount".into())?;
    Ok(tree)
}

fn place(base: &OwnedFd, name: &str, tree: &OwnedFd) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::mkdirat(base, name, Mode::from_raw_mode(0o755))
        .and_then(|()| rustix::fs::openat(base, name, flags, Mode::empty()))
        .and_then(|target| attach(tree, &target))
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
