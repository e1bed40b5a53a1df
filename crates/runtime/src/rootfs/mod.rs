//! The container's root filesystem: from the first mount to the new root.
//!
//! All of it happens in the child, in the container's namespaces, before the old root is given up, and through descriptors: the
//! new root is no root yet, so every path inside is resolved within it ([`target`]).

pub(crate) mod cgroupfs;
pub(crate) mod console;
pub(crate) mod devices;
pub(crate) mod mounts;
pub(crate) mod options;
pub(crate) mod overlay;
pub(crate) mod paths;
pub(crate) mod trees;

mod copy_up;
mod filesystem;
mod target;

use crate::error::Cannot;
use rustix::{
    fs::{Mode, OFlags},
    mount::{MountPropagationFlags, MoveMountFlags, UnmountFlags},
};
use sampan_sys::mount::{Change, Propagation};
use sampan_types::{Result, spec::Linux};
use std::os::fd::OwnedFd;

/// Keeps what the child mounts away from the host. A mount namespace that belongs to a new user namespace is a
/// slave of the host's already.
pub(crate) fn separate(linux: &Linux, new_user_namespace: bool) -> Result<()> {
    let wanted = propagation(linux)?;
    if new_user_namespace && wanted.is_none() {
        return Ok(());
    }
    let flags = match wanted {
        // The root is made from what is bound out of the old one.
        Some(flags) if flags.contains(MountPropagationFlags::UNBINDABLE) => MountPropagationFlags::PRIVATE,
        Some(flags) => flags,
        None => MountPropagationFlags::DOWNSTREAM,
    };
    let flags = flags | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).cannot(|| "separate the mounts from the host's".into())?;
    if flags.contains(MountPropagationFlags::SHARED) {
        // pivot_root refuses a new root whose parent is shared.
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE)
            .cannot(|| "separate the root from the host's".into())?;
    }
    Ok(())
}

/// Attaches the new root over the old one, where no look-up passes, so that it is a mount that can become the root.
pub(crate) fn attach_root(tree: &OwnedFd) -> Result<()> {
    rustix::mount::move_mount(tree, "", rustix::fs::CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .cannot(|| "attach the root filesystem".into())
}

/// Makes `root` the root and gives up the old one.
pub(crate) fn pivot(root: &OwnedFd, linux: &Linux) -> Result<()> {
    let shared = propagation(linux)?.is_some_and(|flags| flags.contains(MountPropagationFlags::SHARED));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let old = shared.then(|| rustix::fs::open("/", flags, Mode::empty()));
    let old = old.transpose().cannot(|| "open the host's root".into())?;
    rustix::process::fchdir(root).cannot(|| "enter the root filesystem".into())?;
    // Both names being one place, the old root ends up stacked on the new one (pivot_root(2), "pivot_root(".", ".")").
    rustix::process::pivot_root(".", ".").cannot(|| "pivot to the root filesystem".into())?;
    if let Some(old) = &old {
        // Or giving up the host's mounts would unmount them on the host too.
        Change { propagation: Some(Propagation::Slave), recursive: true, ..Change::default() }
            .apply(old)
            .cannot(|| "separate the host's root".into())?;
    }
    rustix::mount::unmount(".", UnmountFlags::DETACH).cannot(|| "detach the host's root".into())?;
    rustix::process::chdir("/").cannot(|| "enter the new root".into())
}

/// Sets the propagation of the new root where the specification names one.
pub(crate) fn propagate(linux: &Linux) -> Result<()> {
    match propagation(linux)? {
        Some(flags) => rustix::mount::mount_change("/", flags).cannot(|| "set the root's propagation".into()),
        None => Ok(()),
    }
}

fn propagation(linux: &Linux) -> Result<Option<MountPropagationFlags>> {
    let Some(word) = linux.rootfs_propagation.as_deref().filter(|word| !word.is_empty()) else {
        return Ok(None);
    };
    let Some((propagation, recursive)) = options::propagation(word) else {
        return Err(crate::error::invalid(
            format!("invalid rootfsPropagation {word:?}"),
            "no such propagation",
        ));
    };
    let flags = match propagation {
        Propagation::Shared => MountPropagationFlags::SHARED,
        Propagation::Slave => MountPropagationFlags::DOWNSTREAM,
        Propagation::Private => MountPropagationFlags::PRIVATE,
        Propagation::Unbindable => MountPropagationFlags::UNBINDABLE,
    };
    Ok(Some(if recursive { flags | MountPropagationFlags::REC } else { flags }))
}
