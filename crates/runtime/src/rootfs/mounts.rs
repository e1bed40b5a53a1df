//! The specification's mounts, one after the other, onto a root filesystem that is not yet the root.

use super::{
    cgroupfs,
    filesystem::Filesystem,
    options::{Bind, Options},
    target::{self, Missing},
    trees,
};
use crate::error::Cannot;
use rustix::{
    fs::{FileType, ResolveFlags},
    io::Errno,
    mount::MoveMountFlags,
};
use sampan_sys::mount::{Attr, Change};
use sampan_types::{Error, ErrorKind, Result, spec::Mount};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path},
};

/// A root filesystem under construction.
#[derive(Debug)]
pub(crate) struct Rootfs<'a> {
    /// Its topmost mount at `/`.
    pub(crate) root: OwnedFd,
    /// Relative sources start here.
    pub(crate) bundle: &'a Path,
    /// Mounts that become read-only when all else is done.
    sealed: Vec<OwnedFd>,
}

impl<'a> Rootfs<'a> {
    pub(crate) fn new(root: OwnedFd, bundle: &'a Path) -> Self {
        Self { root, bundle, sealed: Vec::new() }
    }

    /// Makes one mount. `tree` is what to bind, where the runtime has made it.
    pub(crate) fn mount(
        &mut self,
        mount: &Mount,
        options: &Options<'_>,
        tree: Option<OwnedFd>,
        hierarchies: &cgroupfs::Hierarchies<'_>,
    ) -> Result<()> {
        let destination = mount.destination.as_path();
        let done = match (options.bind, mount.fs_type.as_deref().unwrap_or("none")) {
            (Some(bind), _) => {
                let tree = match tree {
                    Some(tree) => tree,
                    None => trees::bound(mount, options, bind, self.bundle, None)?,
                };
                let directory = target::is_directory(&tree).cannot(|| "inspect what is bound".into())?;
                let missing = if directory { Missing::Directory } else { Missing::File };
                self.attach(tree, destination, missing, options)
            }
            (None, "cgroup") if !hierarchies.is_unified() => {
                cgroupfs::mount_hierarchies(self, mount, options, hierarchies)
            }
            (None, "cgroup" | "cgroup2") => {
                let tree = cgroupfs::unified(hierarchies, options)?;
                self.attach(tree, destination, Missing::Directory, options)
            }
            (None, kind) => self.mount_new(mount, options, kind),
        };
        done.map_err(|error| {
            let what = format!("cannot mount on {}", destination.display());
            let hint = error.remedy().map(str::to_owned);
            let outer = Error::new(error.kind(), what).because(error);
            hint.into_iter().fold(outer, Error::hint)
        })
    }

    fn mount_new(&mut self, mount: &Mount, options: &Options<'_>, kind: &str) -> Result<()> {
        let destination = mount.destination.as_path();
        if matches!(kind, "proc" | "sysfs") {
            self.refuse_symlink(destination)?;
        }
        let covered = target::open(&self.root, relative(destination)).ok();
        // A tmpfs is still to be filled with mount points, and stays writable until all is done.
        let late = kind == "tmpfs" && options.set.bits() & Attr::RDONLY.bits() != 0;
        let attr = if late { options.set.without(Attr::RDONLY) } else { options.set };
        let tree = match new_filesystem(mount, options, kind, attr, covered.as_ref()) {
            // A network namespace that is not the container's own may not have its /sys mounted anew.
            Err(error) if kind == "sysfs" && error.kind() == ErrorKind::PermissionDenied => {
                host_sys(options)?
            }
            result => result?,
        };
        if options.copy_up
            && let Some(covered) = &covered
        {
            super::copy_up::copy(covered.as_fd(), tree.as_fd())
                .cannot(|| format!("copy {} into its tmpfs", destination.display()))?;
        }
        if late {
            self.seal_later(tree.as_fd())?;
        }
        self.attach(tree, destination, Missing::Directory, options)
    }

    /// Attaches a tree at a path inside, which is created as `missing` says.
    pub(crate) fn attach(
        &mut self,
        tree: OwnedFd,
        destination: &Path,
        missing: Missing,
        options: &Options<'_>,
    ) -> Result<()> {
        let target = target::open_or_create(self.root.as_fd(), relative(destination), missing)?;
        refuse_other_kind(&tree, &target, destination)?;
        attach(&tree, &target).cannot(|| format!("attach a mount on {}", destination.display()))?;
        for &(propagation, recursive) in &options.propagation {
            Change { propagation: Some(propagation), recursive, ..Change::default() }
                .apply(&tree)
                .cannot(|| format!("set the propagation of {}", destination.display()))?;
        }
        if relative(destination).as_os_str().is_empty() {
            self.root = tree;
        }
        Ok(())
    }

    /// Has a mount made read-only at the end.
    pub(crate) fn seal_later(&mut self, tree: BorrowedFd<'_>) -> Result<()> {
        self.sealed.push(tree.try_clone_to_owned().cannot(|| "keep a mount".into())?);
        Ok(())
    }

    /// Makes read-only what was to become so; then the root itself where asked for.
    pub(crate) fn seal(&mut self, root_too: bool) -> Result<()> {
        for mount in self.sealed.drain(..) {
            trees::seal(&mount, false).cannot(|| "make a mount read-only".into())?;
        }
        if root_too {
            trees::seal(&self.root, false).cannot(|| "make the root filesystem read-only".into())?;
        }
        Ok(())
    }

    /// An image must not lead the kernel's own trees elsewhere, where what is written to them later would go too.
    fn refuse_symlink(&self, destination: &Path) -> Result<()> {
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::NOFOLLOW;
        let refused =
            match target::open_with(&self.root, relative(destination), flags, ResolveFlags::NO_SYMLINKS) {
                Err(Errno::LOOP) => true,
                Ok(found) => rustix::fs::fstat(&found)
                    .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Directory),
                Err(_) => false,
            };
        if refused {
            let what =
                format!("filesystem of {} must be mounted on ordinary directory", destination.display());
            return Err(Error::new(ErrorKind::InvalidInput, what));
        }
        Ok(())
    }
}

/// Attaches a detached tree at a place that is held open.
pub(crate) fn attach(tree: impl AsFd, target: impl AsFd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", target, "", flags)
}

/// A destination without its leading slashes, empty for the root.
pub(crate) fn relative(path: &Path) -> &Path {
    let mut components = path.components();
    while let Some(Component::RootDir | Component::CurDir) = components.clone().next() {
        components.next();
    }
    components.as_path()
}

fn new_filesystem(
    mount: &Mount,
    options: &Options<'_>,
    kind: &str,
    attr: Attr,
    covered: Option<&OwnedFd>,
) -> Result<OwnedFd> {
    let filesystem = Filesystem::open(kind)?;
    if let Some(source) = &mount.source {
        filesystem.set("source", source.as_os_str().as_encoded_bytes())?;
    }
    for option in &options.filesystem {
        filesystem.set_option(option)?;
    }
    // A tmpfs looks like the directory it covers.
    let has_mode = options.filesystem.iter().any(|option| option.starts_with("mode="));
    if kind == "tmpfs"
        && !has_mode
        && let Some(covered) = covered
    {
        let stat = rustix::fs::fstat(covered).cannot(|| "inspect the mount point".into())?;
        filesystem.set("mode", format!("{:o}", stat.st_mode & 0o7777).as_bytes())?;
    }
    let tree = filesystem.mount(attr)?;
    if !options.set_all.is_empty() || !options.clear_all.is_empty() {
        Change { set: options.set_all, clear: options.clear_all, ..Change::default() }
            .apply(&tree)
            .cannot(|| "set options of the mount".into())?;
    }
    Ok(tree)
}

fn host_sys(options: &Options<'_>) -> Result<OwnedFd> {
    let tree = trees::clone(Path::new("/sys"), Bind::All)?;
    // Bits can only be added: the host's are locked here.
    let set = Change { set: options.set | options.set_all, recursive: true, ..Change::default() };
    set.apply(&tree).cannot(|| "set options of the host's /sys".into())?;
    Ok(tree)
}

/// The kernel says only "invalid argument" where a file is to cover a directory, or the other way round.
fn refuse_other_kind(tree: &OwnedFd, target: &OwnedFd, destination: &Path) -> Result<()> {
    let is_directory = |fd: &OwnedFd| {
        rustix::fs::fstat(fd)
            .map(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
            .cannot(|| format!("look at {}", destination.display()))
    };
    let why = match (is_directory(tree)?, is_directory(target)?) {
        (true, false) => "the source is a directory, and the target a file",
        (false, true) => "the source is a file, and the target a directory",
        _ => return Ok(()),
    };
    let what = format!("cannot cover {}", destination.display());
    Err(Error::new(ErrorKind::InvalidInput, what).because(why).hint("name a target of the same kind"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_lose_their_leading_slashes() {
        for (path, expected) in
            [("/", ""), ("//", ""), ("/.", ""), ("/proc", "proc"), ("dev/pts", "dev/pts"), ("/a/", "a")]
        {
            assert_eq!(relative(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
