//! Detached trees of mounts: what is bound, and the directories that a union is made from.
//!
//! A mount whose ids are mapped can only be made with rights over the filesystem, so for a container with a user
//! namespace the runtime makes these trees and the child attaches them.

use super::options::{Bind, Options};
use crate::{error::Cannot, idmap::IdMaps};
use rustix::mount::OpenTreeFlags;
use sampan_sys::mount::{Attr, Change};
use sampan_types::{Error, ErrorKind, Result, spec::Mount};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// A clone of the mount at `path`, attached nowhere, with all below it where `bind` says so.
pub(crate) fn clone(path: &Path, bind: Bind) -> Result<OwnedFd> {
    clone_at(rustix::fs::CWD, path, bind).map_err(|error| {
        let missing = error.kind() == ErrorKind::NotFound;
        if missing { error.hint(format!("create {} first", path.display())) } else { error }
    })
}

/// The same from a descriptor; an empty path means what the descriptor refers to.
pub(crate) fn clone_at(directory: impl AsFd, path: &Path, bind: Bind) -> Result<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if bind == Bind::All {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(directory, path, flags).cannot(|| format!("bind {}", path.display()))
}

/// The tree of a bind mount of the specification, with its bits and its ids mapped as `userns` maps them where it asks for that.
///
/// `userns` is the container's user namespace; without one, ids are mapped only by maps of the mount's own.
pub(crate) fn bound(
    mount: &Mount,
    options: &Options<'_>,
    bind: Bind,
    bundle: &Path,
    userns: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd> {
    let source = mount.source.as_deref().ok_or_else(|| {
        crate::error::invalid(format!("invalid mount on {}", mount.destination.display()), "it has no source")
    })?;
    let source = bundle.join(source);
    let tree = clone(&source, bind)?;
    map_ids(mount, options, &tree, userns)?;
    apply(&tree, options)
        .cannot(|| format!("set options of the mount on {}", mount.destination.display()))?;
    Ok(tree)
}

fn map_ids(
    mount: &Mount,
    options: &Options<'_>,
    tree: &OwnedFd,
    userns: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let Some(recursive) = options.idmap else { return Ok(()) };
    let own = match (mount.uid_mappings.is_empty(), userns) {
        (false, _) => {
            Some(IdMaps { uids: mount.uid_mappings.clone(), gids: mount.gid_mappings.clone() }.namespace()?)
        }
        (true, Some(_)) => None,
        (true, None) => return Ok(()),
    };
    let idmap = own.as_ref().map(AsFd::as_fd).or(userns);
    Change { idmap, recursive, ..Change::default() }.apply(tree).map_err(|error| {
        explain(error, format!("cannot map ids of the mount on {}", mount.destination.display()))
    })
}

/// Why ids could not be mapped, with what to do.
pub(crate) fn explain(error: std::io::Error, what: String) -> Error {
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::INVAL) => Error::new(ErrorKind::Unsupported, what)
            .because("this filesystem cannot map ids")
            .hint("keep it on ext4, xfs, btrfs, or tmpfs from Linux 6.3 on; or --userns host"),
        _ => Error::io(what, error),
    }
}

/// Sets the bits and the propagation that the options ask for: first of all below, then of the mount itself.
pub(crate) fn apply(tree: &OwnedFd, options: &Options<'_>) -> std::io::Result<()> {
    for (set, clear, recursive) in
        [(options.set_all, options.clear_all, true), (options.set, options.clear, false)]
    {
        if !set.is_empty() || !clear.is_empty() {
            Change { set, clear, recursive, ..Change::default() }.apply(tree)?;
        }
    }
    Ok(())
}

/// Makes a mount read-only.
pub(crate) fn seal(mount: impl AsFd, recursive: bool) -> std::io::Result<()> {
    Change { set: Attr::RDONLY, recursive, ..Change::default() }.apply(mount)
}
