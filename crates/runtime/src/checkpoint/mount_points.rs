//! What a root filesystem needs before CRIU can mount on it, in CRIU's own mount namespace.
//!
//! Mount points that the runtime made when the container was created may be missing by now: the images can have been carried to
//! another host with a fresh root filesystem. They are made again, those in what is bound included.

use super::external::Described;
use crate::{
    error::Cannot,
    rootfs::{
        mounts::{self, relative},
        options::{Bind, Options},
        target::{self, Missing},
        trees,
    },
};
use rustix::{
    io::Errno,
    mount::{MountPropagationFlags, UnmountFlags},
};
use sampan_types::{Result, spec::Mount};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Keeps what is mounted from here on away from the host: the calling process has a mount namespace of its own.
pub(super) fn separate() -> Result<()> {
    let all = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", all).cannot(|| "separate the mounts from the host's".into())
}

/// Has the root filesystem as a mount of its own at `scratch`, as CRIU wants it, with all mount points.
pub(super) fn prepare(described: &Described<'_>, root: &Path, read_only: bool, scratch: &Path) -> Result<()> {
    let tree = attach(root, scratch)?;
    make_all(described, &tree, root)?;
    // CRIU mounts everything itself.
    rustix::mount::unmount(scratch, UnmountFlags::DETACH)
        .cannot(|| format!("unmount {}", scratch.display()))?;
    let tree = attach(root, scratch)?;
    // CRIU before 4.2 takes the root as it finds it.
    if read_only { trees::seal(&tree).cannot(|| "make the root filesystem read-only".into()) } else { Ok(()) }
}

fn attach(root: &Path, scratch: &Path) -> Result<OwnedFd> {
    let tree = trees::clone(root, Bind::All)?;
    let target = rustix::fs::open(
        scratch,
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .cannot(|| format!("open {}", scratch.display()))?;
    mounts::attach(&tree, target)
        .cannot(|| format!("attach the root filesystem on {}", scratch.display()))?;
    Ok(tree)
}

fn make_all(described: &Described<'_>, root: &OwnedFd, directory: &Path) -> Result<()> {
    // Below what CRIU fills itself nothing is to be made.
    let mut filled: Vec<PathBuf> = Vec::new();
    for (mount, options) in described.mounts.iter().filter(|(_, options)| !options.remount) {
        let destination = relative(&mount.destination);
        let inside = filled.iter().any(|path| destination != path && destination.starts_with(path));
        if inside || options.copied_link.is_some() {
            continue;
        }
        match options.bind {
            Some(bind) => make_bound(described, root, directory, mount, options, bind)?,
            None => {
                target::open_or_create(root.as_fd(), destination, Missing::Directory, options.last_link())?;
                filled.push(destination.to_owned());
            }
        }
    }
    Ok(())
}

/// Makes the mount point of a bind mount, and binds it there, so that those below it are made in its source.
fn make_bound(
    described: &Described<'_>,
    root: &OwnedFd,
    directory: &Path,
    mount: &Mount,
    options: &Options<'_>,
    bind: Bind,
) -> Result<()> {
    let Some(source) = &mount.source else { return Ok(()) };
    let source = described.bundle.join(source);
    // What lies in the root filesystem may be a mount point that has just been made in it.
    let tree = match source.strip_prefix(directory) {
        Ok(path) => target::open(root, path).and_then(|source| trees::clone_of(source, bind)),
        Err(_) => return make_bound_from(root, mount, options, trees::clone(&source, bind)?),
    };
    match tree {
        Ok(tree) => make_bound_from(root, mount, options, tree),
        // It is a mount in what CRIU fills itself.
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno).cannot(|| format!("bind {}", source.display())),
    }
}

fn make_bound_from(root: &OwnedFd, mount: &Mount, options: &Options<'_>, tree: OwnedFd) -> Result<()> {
    let destination = relative(&mount.destination);
    let directory = target::is_directory(&tree).cannot(|| "inspect what is bound".into())?;
    let missing = if directory { Missing::Directory } else { Missing::File };
    let target = target::open_or_create(root.as_fd(), destination, missing, options.last_link())?;
    mounts::attach(&tree, target).cannot(|| format!("attach a mount on {}", mount.destination.display()))
}
