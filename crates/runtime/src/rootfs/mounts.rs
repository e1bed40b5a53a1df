//! The specification's mounts, one after the other, onto a root filesystem that is not yet the root.

use super::{
    cgroupfs,
    filesystem::Filesystem,
    options::{Bind, Options},
    proc,
    target::{self, LastLink, Missing},
    trees::{self, Container},
};
use crate::error::{Cannot, invalid};
use rustix::{io::Errno, mount::MoveMountFlags};
use sampan_sys::mount::{Attr, Change};
use sampan_types::{Error, ErrorKind, Result, spec::Mount};
use std::{
    ffi::OsStr,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
};

/// A root filesystem under construction.
#[derive(Debug)]
pub(crate) struct Rootfs<'a> {
    /// Its topmost mount at `/`.
    pub(crate) root: OwnedFd,
    pub(crate) place: Place<'a>,
    /// Mounts that become read-only when all else is done.
    sealed: Vec<OwnedFd>,
}

/// What a root filesystem is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) container: Container<'a>,
    /// Where the host has its directory, if it is one of a bundle.
    pub(crate) directory: Option<&'a Path>,
    /// Whether the container has a user namespace that is not the runtime's.
    pub(crate) user_namespace: bool,
    /// Whether the trees of what is bound are made before the root is: by the runtime, or where the host's mounts are still shared.
    pub(crate) trees_beforehand: bool,
    /// Whether it has a process namespace, and one for message queues, that are not the runtime's.
    pub(crate) own_pids: bool,
    pub(crate) own_queues: bool,
    /// The SELinux label of what is mounted.
    pub(crate) label: Option<&'a str>,
}

impl Place<'_> {
    /// The path of a bind mount's source inside the root filesystem, where it lies there: what has been mounted so far shows
    /// in it, and no symbolic link leads out of it.
    pub(crate) fn inside(&self, mount: &Mount) -> Option<PathBuf> {
        let source = self.container.bundle.join(mount.source.as_deref()?);
        let inside = source.strip_prefix(self.directory?).ok()?;
        let plain = !source.components().any(|component| component == Component::ParentDir);
        plain.then(|| inside.to_path_buf())
    }

    /// Whether the tree of this mount is made before the root is.
    pub(crate) fn beforehand(&self, mount: &Mount, options: &Options<'_>) -> bool {
        // A user namespace may not take off all mounts below one what it may not take off one: only the kernel knows which of
        // them are locked, and that in the child's own mount namespace.
        let judged_inside =
            self.user_namespace && options.idmap.is_none() && !options.attributes.clear_all.is_empty();
        self.trees_beforehand && !judged_inside && options.makes_tree() && self.inside(mount).is_none()
    }
}

impl<'a> Rootfs<'a> {
    pub(crate) fn new(root: OwnedFd, place: Place<'a>) -> Self {
        Self { root, place, sealed: Vec::new() }
    }

    /// Makes one mount. `tree` is what to bind, where the runtime has made it.
    pub(crate) fn mount(
        &mut self,
        mount: &Mount,
        options: &Options<'_>,
        tree: Option<OwnedFd>,
        hierarchies: &cgroupfs::Hierarchies<'_>,
    ) -> Result<()> {
        let done = if options.remount {
            self.remount(mount, options)
        } else if let Some(link) = &options.copied_link {
            self.copy_link(&mount.destination, link)
        } else if let Some(bind) = options.bind {
            self.bind(mount, options, bind, tree)
        } else {
            match mount.fs_type.as_deref().unwrap_or_default() {
                "cgroup" if !hierarchies.is_unified() => {
                    cgroupfs::mount_hierarchies(self, mount, options, hierarchies)
                }
                "cgroup" | "cgroup2" => cgroupfs::unified(hierarchies, options)
                    .and_then(|tree| self.attach(tree, &mount.destination, options)),
                kind => self.mount_new(mount, options, kind),
            }
        };
        done.map_err(|error| {
            let what = format!("cannot mount on {}", mount.destination.display());
            let hint = error.remedy().map(str::to_owned);
            let outer = Error::new(error.kind(), what).because(error);
            hint.into_iter().fold(outer, Error::hint)
        })
    }

    fn bind(
        &mut self,
        mount: &Mount,
        options: &Options<'_>,
        bind: Bind,
        tree: Option<OwnedFd>,
    ) -> Result<()> {
        let inside = self.place.inside(mount);
        if tree.is_none() && self.place.user_namespace && options.idmap.is_some() {
            let source = mount.source.as_deref().unwrap_or(Path::new(""));
            let why = match inside {
                Some(_) => "what is bound lies in the root filesystem, where a user namespace cannot map ids",
                None => "an ordinary user cannot map ids",
            };
            return Err(invalid(format!("cannot bind {}", source.display()), why));
        }
        let tree = match (tree, inside) {
            (Some(tree), _) => tree,
            (None, Some(inside)) => self.clone_inside(mount, options, bind, &inside)?,
            (None, None) => self.place.container.bound(mount, options, bind)?,
        };
        self.attach(tree, &mount.destination, options)
    }

    fn clone_inside(
        &self,
        mount: &Mount,
        options: &Options<'_>,
        bind: Bind,
        inside: &Path,
    ) -> Result<OwnedFd> {
        let last = if options.keep_source_link { LastLink::Keep } else { LastLink::Follow };
        let tree = target::open_with(&self.root, inside, last.flags(), rustix::fs::ResolveFlags::empty())
            .and_then(|source| trees::clone_of(source, bind))
            .cannot(|| format!("bind {} of the root filesystem", inside.display()))?;
        self.place.container.dress(&tree, mount, options, bind)?;
        Ok(tree)
    }

    /// A link like the source's; one that is there already must be the same.
    fn copy_link(&self, destination: &Path, link: &OsStr) -> Result<()> {
        let (parent, name) = target::open_parent(self.root.as_fd(), relative(destination))?;
        match rustix::fs::symlinkat(link, &parent, name) {
            Err(Errno::EXIST) => match rustix::fs::readlinkat(&parent, name, Vec::new()) {
                Ok(found) if found.to_bytes() == link.as_bytes() => Ok(()),
                _ => Err(invalid("cannot copy a symbolic link", "something else is in its place")),
            },
            made => made.cannot(|| format!("make a symbolic link to {}", Path::new(link).display())),
        }
    }

    fn mount_new(&mut self, mount: &Mount, options: &Options<'_>, kind: &str) -> Result<()> {
        let destination = mount.destination.as_path();
        // An image must not lead the kernel's own trees elsewhere, where what is written to them later would go too.
        let of_kernel = matches!(kind, "proc" | "sysfs" | "mqueue");
        let last = if of_kernel { LastLink::Keep } else { options.last_link() };
        let flags = last.flags() | rustix::fs::OFlags::DIRECTORY;
        let opened =
            target::open_with(&self.root, relative(destination), flags, rustix::fs::ResolveFlags::empty());
        let covered = match opened {
            Ok(covered) => Some(covered),
            Err(Errno::NOENT) => None,
            Err(Errno::NOTDIR | Errno::LOOP) if of_kernel => return Err(no_directory(destination)),
            Err(errno) => return Err(errno).cannot(|| format!("open {}", destination.display())),
        };
        // A tmpfs is still to be filled with mount points, and stays writable until all is done; so does /dev.
        let late =
            options.attributes.read_only() && (kind == "tmpfs" || relative(destination) == Path::new("dev"));
        let attr = options.attributes.of_new();
        let attr = if late { attr.without(Attr::RDONLY) } else { attr };
        let tree = match self.new_filesystem(mount, options, kind, attr, covered.as_ref()) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => match self.host_tree(kind, attr) {
                Some(tree) => tree?,
                None => return Err(error),
            },
            made => made?,
        };
        if options.copy_up
            && let Some(covered) = &covered
        {
            super::copy_up::copy(covered.as_fd(), tree.as_fd())
                .cannot(|| format!("copy {} into its tmpfs", destination.display()))?;
        }
        if late {
            self.seal_later(tree.try_clone().cannot(|| "keep a mount".into())?);
        }
        let target = match covered {
            Some(covered) => covered,
            None => target::create(self.root.as_fd(), relative(destination), Missing::Directory, last)?,
        };
        self.attach_at(tree, &target, destination, options, Some(kind))
    }

    fn new_filesystem(
        &self,
        mount: &Mount,
        options: &Options<'_>,
        kind: &str,
        attr: Attr,
        covered: Option<&OwnedFd>,
    ) -> Result<OwnedFd> {
        let filesystem = Filesystem::open(kind)?;
        if let Some(source) = &mount.source {
            filesystem.set("source", source.as_os_str().as_bytes())?;
        }
        filesystem.set_all(options)?;
        if let Some(label) = self.place.label.filter(|_| !matches!(kind, "proc" | "sysfs" | "mqueue")) {
            filesystem.set("context", label.as_bytes())?;
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
        filesystem.mount(attr)
    }

    /// The host's tree, where it has one, in place of one that the container may not mount anew: a user namespace may mount only what belongs to
    /// namespaces of its own.
    fn host_tree(&self, kind: &str, attr: Attr) -> Option<Result<OwnedFd>> {
        let path = match kind {
            "sysfs" => "/sys",
            "proc" if !self.place.own_pids => "/proc",
            "mqueue" if !self.place.own_queues => "/dev/mqueue",
            _ => return None,
        };
        let tree = trees::clone(Path::new(path), Bind::All).ok()?;
        // Bits can only be added: the host's are locked here.
        let set = Change { set: attr.without(Attr::ATIME), recursive: true, ..Change::default() };
        let set = set.apply(&tree).cannot(|| format!("set options of the host's {path}"));
        Some(set.map(|()| tree))
    }

    /// Changes what is mounted.
    fn remount(&self, mount: &Mount, options: &Options<'_>) -> Result<()> {
        let destination = mount.destination.as_path();
        let flags = options.last_link().flags();
        let mounted =
            target::open_with(&self.root, relative(destination), flags, rustix::fs::ResolveFlags::empty())
                .cannot(|| format!("open {}", destination.display()))?;
        if options.bind.is_none() && !(options.filesystem.is_empty() && options.superblock.is_empty()) {
            Filesystem::of_mount(&mounted)?.reconfigure(options)?;
        }
        let bind = options.bind.unwrap_or(Bind::One);
        self.place.container.dress(&mounted, mount, options, bind)?;
        propagate(&mounted, destination, options)
    }

    /// Attaches a tree at a path inside, which is created where it is missing.
    pub(crate) fn attach(&mut self, tree: OwnedFd, destination: &Path, options: &Options<'_>) -> Result<()> {
        let path = relative(destination);
        let last = options.last_link();
        let opened = target::open_with(&self.root, path, last.flags(), rustix::fs::ResolveFlags::empty());
        let target = match opened {
            Err(Errno::NOENT) => {
                let directory = target::is_directory(&tree).cannot(|| "inspect what is bound".into())?;
                let missing = if directory { Missing::Directory } else { Missing::File };
                target::create(self.root.as_fd(), path, missing, last)?
            }
            opened => opened.cannot(|| format!("open {} in the root filesystem", path.display()))?,
        };
        self.attach_at(tree, &target, destination, options, None)
    }

    /// `kind` is that of a filesystem made anew; the kernel's own are what they say.
    fn attach_at(
        &mut self,
        tree: OwnedFd,
        target: &OwnedFd,
        destination: &Path,
        options: &Options<'_>,
        kind: Option<&str>,
    ) -> Result<()> {
        let path = relative(destination);
        let own = matches!(kind, Some("proc"));
        if !own && (kind.is_none() || path.starts_with("proc")) {
            proc::check(&tree, target, path)?;
        }
        if let Err(errno) = attach(&tree, target) {
            // The kernel says only "invalid argument" where a file is to cover a directory, or the other way round.
            refuse_other_kind(&tree, target, destination)?;
            return Err(errno).cannot(|| format!("attach a mount on {}", destination.display()));
        }
        propagate(&tree, destination, options)?;
        if path.as_os_str().is_empty() {
            self.root = tree;
        }
        Ok(())
    }

    /// Has a mount made read-only at the end.
    pub(crate) fn seal_later(&mut self, tree: OwnedFd) {
        self.sealed.push(tree);
    }

    /// Makes read-only what was to become so; then the root itself where asked for.
    pub(crate) fn seal(&mut self, root_too: bool) -> Result<()> {
        for mount in self.sealed.drain(..) {
            trees::seal(&mount).cannot(|| "make a mount read-only".into())?;
        }
        if root_too {
            trees::seal(&self.root).cannot(|| "make the root filesystem read-only".into())?;
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

fn propagate(mounted: &OwnedFd, destination: &Path, options: &Options<'_>) -> Result<()> {
    options.propagation.iter().try_for_each(|&(propagation, recursive)| {
        Change { propagation: Some(propagation), recursive, ..Change::default() }
            .apply(mounted)
            .cannot(|| format!("set the propagation of {}", destination.display()))
    })
}

fn no_directory(destination: &Path) -> Error {
    let what = format!("filesystem of {} must be mounted on ordinary directory", destination.display());
    Error::new(ErrorKind::InvalidInput, what)
}

fn refuse_other_kind(tree: &OwnedFd, target: &OwnedFd, destination: &Path) -> Result<()> {
    let is_directory =
        |fd: &OwnedFd| target::is_directory(fd).cannot(|| format!("look at {}", destination.display()));
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

    #[test]
    fn sources_in_the_root_filesystem_are_known() {
        let idmaps = trees::Idmaps::default();
        let place = Place {
            container: Container { bundle: Path::new("/b"), userns: None, idmaps: &idmaps },
            directory: Some(Path::new("/b/./rootfs")),
            user_namespace: false,
            trees_beforehand: false,
            own_pids: true,
            own_queues: true,
            label: None,
        };
        let inside = |source: &str| place.inside(&Mount { source: Some(source.into()), ..Mount::default() });
        assert_eq!(inside("./rootfs/mnt"), Some("mnt".into()));
        assert_eq!(inside("/b//rootfs/a/b"), Some("a/b".into()));
        for outside in ["rootfs2", "/etc", "rootfs/../x"] {
            assert_eq!(inside(outside), None, "{outside}");
        }
    }
}
