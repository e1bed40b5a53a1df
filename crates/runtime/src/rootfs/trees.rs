//! Detached trees of mounts: what is bound, and the directories that a union is made from.
//!
//! A mount whose ids are mapped can only be made with rights over the filesystem, and the root of a user namespace may have none
//! to enter a directory; so for a container with a user namespace the runtime makes these trees and the child attaches them.

use super::options::{Bind, Options};
use crate::{error::Cannot, idmap::IdMaps};
use rustix::{io::Errno, mount::OpenTreeFlags};
use sampan_sys::mount::{Attr, Change, Propagation};
use sampan_types::{Error, ErrorKind, Result, spec::Mount};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// A clone of the mount at `path`, attached nowhere, with all below it where `bind` says so.
pub(crate) fn clone(path: &Path, bind: Bind) -> Result<OwnedFd> {
    clone_from(path, bind, false)
}

fn clone_from(path: &Path, bind: Bind, keep_link: bool) -> Result<OwnedFd> {
    let link = if keep_link { OpenTreeFlags::AT_SYMLINK_NOFOLLOW } else { OpenTreeFlags::empty() };
    rustix::mount::open_tree(rustix::fs::CWD, path, flags(bind) | link)
        .cannot(|| format!("bind {}", path.display()))
        .map_err(|error| {
            let missing = error.kind() == ErrorKind::NotFound;
            if missing { error.hint(format!("create {} first", path.display())) } else { error }
        })
}

/// The same of what a descriptor refers to.
pub(crate) fn clone_of(file: impl AsFd, bind: Bind) -> Result<OwnedFd, Errno> {
    rustix::mount::open_tree(file, "", flags(bind) | OpenTreeFlags::AT_EMPTY_PATH)
}

fn flags(bind: Bind) -> OpenTreeFlags {
    let all = if bind == Bind::All { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
    OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | all
}

/// For whom a bind mount is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Container<'a> {
    /// Relative sources start here.
    pub(crate) bundle: &'a Path,
    /// Its user namespace.
    pub(crate) userns: Option<BorrowedFd<'a>>,
    /// User namespaces for mounts that have maps of their own.
    pub(crate) idmaps: &'a Idmaps,
}

impl Container<'_> {
    /// The tree of a bind mount of the specification, with its attributes and its ids mapped.
    pub(crate) fn bound(&self, mount: &Mount, options: &Options<'_>, bind: Bind) -> Result<OwnedFd> {
        let source = mount.source.as_deref().ok_or_else(|| {
            let what = format!("invalid mount on {}", mount.destination.display());
            crate::error::invalid(what, "it has no source")
        })?;
        let tree = clone_from(&self.bundle.join(source), bind, options.keep_source_link)?;
        self.dress(&tree, mount, options, bind)?;
        Ok(tree)
    }

    /// Gives a clone its attributes and id maps.
    pub(crate) fn dress(
        &self,
        tree: &OwnedFd,
        mount: &Mount,
        options: &Options<'_>,
        bind: Bind,
    ) -> Result<()> {
        let idmap = options.idmap.as_ref().map(|idmap| {
            let own = self.idmaps.namespace(&idmap.uids, &idmap.gids);
            (own.or(self.userns), idmap.recursive)
        });
        let (own_map, all_map) = match idmap {
            Some((userns, true)) => (None, userns),
            Some((userns, false)) => (userns, None),
            None => (None, None),
        };
        let attributes = &options.attributes;
        let all = Change {
            set: attributes.set_all,
            clear: attributes.clear_all,
            // What the runtime clones is a peer of the host's mount: what the container mounts on it would be seen there.
            propagation: self.userns.map(|_| Propagation::Slave),
            idmap: all_map,
            recursive: true,
        };
        let what = || format!("cannot set options of the mount on {}", mount.destination.display());
        let keeping = || {
            let present = Attr::of(tree).map_err(|error| Error::io(what(), error))?;
            attributes
                .keeping(present)
                .map_err(|why| Error::new(ErrorKind::PermissionDenied, what()).because(why))
        };
        // A user namespace is not to get by a bind mount what the host's mount withholds.
        let locked = self.userns.is_some() && attributes.given;
        let bits = match (attributes.given, locked) {
            (false, _) => (Attr::default(), Attr::default()),
            (true, false) => attributes.replacing(),
            (true, true) => keeping()?,
        };
        let own = |(set, clear)| Change { set, clear, idmap: own_map, ..Change::default() };
        let mut applied = apply(tree, bind, own(bits), all);
        if attributes.given && !locked && denied(&applied) {
            // The runtime itself is in a user namespace whose mounts are locked.
            applied = apply(tree, bind, own(keeping()?), all);
        }
        applied.map_err(|error| match idmap {
            Some(_) => {
                explain(error, format!("cannot map ids of the mount on {}", mount.destination.display()))
            }
            None => Error::io(what(), error),
        })
    }
}

fn denied(result: &std::io::Result<()>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// Changes the topmost mount, then all: in one call where there is only one.
fn apply(tree: &OwnedFd, bind: Bind, own: Change<'_>, all: Change<'_>) -> std::io::Result<()> {
    let changes = match bind {
        Bind::All => [own, all],
        Bind::One => {
            let both = Change {
                set: own.set.without(all.clear) | all.set,
                clear: own.clear.without(all.set) | all.clear,
                propagation: all.propagation,
                idmap: own.idmap.or(all.idmap),
                recursive: false,
            };
            [both, Change::default()]
        }
    };
    changes.iter().filter(|change| !change.is_nothing()).try_for_each(|change| change.apply(tree))
}

/// Why ids could not be mapped, with what to do.
pub(crate) fn explain(error: std::io::Error, what: String) -> Error {
    match Errno::from_io_error(&error) {
        Some(Errno::INVAL) => Error::new(ErrorKind::Unsupported, what)
            .because("this filesystem cannot map ids")
            .hint("keep it on ext4, xfs, btrfs, or tmpfs from Linux 6.3 on; or --userns host"),
        _ => Error::io(what, error),
    }
}

/// Makes a mount read-only, and leaves everything else of it.
pub(crate) fn seal(mount: impl AsFd) -> std::io::Result<()> {
    Change { set: Attr::RDONLY, ..Change::default() }.apply(mount)
}

/// User namespaces that have nothing but id maps, for mounts with maps of their own. They are made before the container's first
/// process: what it clones has numbers that the host's `/proc` does not know.
#[derive(Debug, Default)]
pub(crate) struct Idmaps(Vec<(IdMaps, OwnedFd)>);

impl Idmaps {
    /// Settles the maps of all mounts, and makes a namespace for each that is not the container's own.
    pub(crate) fn make(
        mounts: &mut [(&Mount, Options<'_>)],
        container: Option<&IdMaps>,
        has_user_namespace: bool,
    ) -> Result<Self> {
        let mut made = Self::default();
        for (mount, options) in mounts {
            let Some(idmap) = &mut options.idmap else { continue };
            let maps = idmap.maps(mount, container)?;
            if maps.uids.is_empty() && !has_user_namespace {
                let what = format!("invalid mount on {}", mount.destination.display());
                let why =
                    "its ids are to be mapped, and neither it has maps nor the container a user namespace";
                return Err(crate::error::invalid(what, why).hint("give it uidMappings and gidMappings"));
            }
            (idmap.uids, idmap.gids) = (maps.uids.clone(), maps.gids.clone());
            if !maps.uids.is_empty() && made.namespace(&maps.uids, &maps.gids).is_none() {
                let namespace = maps.namespace()?;
                made.0.push((maps, namespace));
            }
        }
        Ok(made)
    }

    fn namespace(
        &self,
        uids: &[sampan_types::spec::IdMapping],
        gids: &[sampan_types::spec::IdMapping],
    ) -> Option<BorrowedFd<'_>> {
        self.0.iter().find(|(maps, _)| maps.uids == uids && maps.gids == gids).map(|(_, fd)| fd.as_fd())
    }
}
