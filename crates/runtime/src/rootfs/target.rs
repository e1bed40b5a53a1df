//! Paths inside a root filesystem that may be hostile.
//!
//! Every look-up goes through openat2(2) with `RESOLVE_IN_ROOT`: symbolic links and `..` cannot lead outside, whatever
//! the image contains and whoever changes it meanwhile. What is found is held by a descriptor, never by its name; what is
//! created is created in a directory that is held, and only where nothing is.

use crate::error::{Cannot, invalid};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Component, Path, PathBuf},
};

/// As many symbolic links as the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// How often a name is made anew that somebody else takes away.
const MAX_TRIES: usize = 100;

/// What a missing target is created as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// A directory, mode 0755.
    Directory,
    /// An empty file, mode 0644.
    File,
}

/// What is meant by a path that ends with a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastLink {
    /// What it points at.
    Follow,
    /// The link itself.
    Keep,
}

/// Refers to what is at `path` inside `root`, symbolic links followed inside it.
pub(crate) fn open(root: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    open_with(root, path, OFlags::PATH, ResolveFlags::empty())
}

/// The same with flags of open(2) and further restrictions.
pub(crate) fn open_with(
    root: impl AsFd,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    // A relative path, since an empty one would not be accepted; `RESOLVE_IN_ROOT` treats both alike.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = resolve | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // A rename anywhere in the system raced with a `..`: openat2(2) says to try again.
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
}

/// Refers to what is at `path`, which is created where it is missing, its parents too.
pub(crate) fn open_or_create(
    root: BorrowedFd<'_>,
    path: &Path,
    missing: Missing,
    last: LastLink,
) -> Result<OwnedFd> {
    match open_with(root, path, last.flags(), ResolveFlags::empty()) {
        Ok(target) => Ok(target),
        Err(Errno::NOENT) => create(root, path, missing, last),
        Err(errno) => Err(errno).cannot(|| format!("open {} in the root filesystem", path.display())),
    }
}

impl LastLink {
    pub(crate) fn flags(self) -> OFlags {
        match self {
            Self::Follow => OFlags::PATH,
            Self::Keep => OFlags::PATH | OFlags::NOFOLLOW,
        }
    }
}

/// The directory that holds `path`, created where it is missing, and the path's last name.
pub(crate) fn open_parent<'a>(root: BorrowedFd<'_>, path: &'a Path) -> Result<(OwnedFd, &'a OsStr)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(invalid(
            format!("invalid path {} in the root filesystem", path.display()),
            "it must end with a name",
        ));
    };
    Ok((open_or_create(root, parent, Missing::Directory, LastLink::Follow)?, name))
}

/// Creates what is missing of `path`. A dangling symbolic link is followed to where it points inside the root, and that
/// is created.
pub(crate) fn create(root: BorrowedFd<'_>, path: &Path, missing: Missing, last: LastLink) -> Result<OwnedFd> {
    // Most often only the last name is missing.
    if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
        && let Ok(parent) = open_with(root, parent, OFlags::PATH | OFlags::DIRECTORY, ResolveFlags::empty())
        && let Some(made) = make(&parent, name, missing)
            .cannot(|| format!("create {} in the root filesystem", path.display()))?
    {
        return Ok(made);
    }
    Walk { root, whole: path, pending: components(path), entered: Vec::new(), links: 0 }.create(missing, last)
}

/// A walk through a path whose symbolic links are taken apart. Each directory on the way is held, so that `..` means the
/// one that was come from, wherever it has been moved meanwhile.
struct Walk<'a> {
    root: BorrowedFd<'a>,
    whole: &'a Path,
    pending: VecDeque<OsString>,
    /// The way from the root, without links.
    entered: Vec<OwnedFd>,
    links: usize,
}

impl Walk<'_> {
    fn create(mut self, missing: Missing, last: LastLink) -> Result<OwnedFd> {
        while let Some(name) = self.pending.pop_front() {
            if name == ".." {
                self.entered.pop();
                continue;
            }
            let is_last = self.pending.is_empty();
            let next = self.enter(&name, if is_last { missing } else { Missing::Directory })?;
            if is_link(&next).cannot(|| self.what("inspect"))? && !(is_last && last == LastLink::Keep) {
                self.follow(&next)?;
            } else {
                self.entered.push(next);
            }
        }
        match self.entered.pop() {
            Some(target) => Ok(target),
            None => open(self.root, Path::new("")).cannot(|| self.what("open")),
        }
    }

    fn what(&self, verb: &str) -> String {
        format!("{verb} {} in the root filesystem", self.whole.display())
    }

    /// What has this name where the walk stands, made where there is nothing; a link is not followed.
    fn enter(&self, name: &OsStr, missing: Missing) -> Result<OwnedFd> {
        let at = self.entered.last().map_or(self.root, AsFd::as_fd);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..MAX_TRIES {
            match rustix::fs::openat(at, name, flags, Mode::empty()) {
                Err(Errno::NOENT) => {}
                found => return found.cannot(|| self.what("open")),
            }
            // Where somebody else has made it meanwhile, that is looked at.
            if let Some(made) = make(at, name, missing).cannot(|| self.what("create"))? {
                return Ok(made);
            }
        }
        let what = format!("cannot {}", self.what("create"));
        Err(Error::new(ErrorKind::Conflict, what).because("somebody takes it away again and again"))
    }

    fn follow(&mut self, link: &OwnedFd) -> Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS {
            let what = format!("cannot create {} in the root filesystem", self.whole.display());
            return Err(Error::new(ErrorKind::InvalidInput, what).because("too many symbolic links"));
        }
        let target = rustix::fs::readlinkat(link, "", Vec::new()).cannot(|| self.what("read a link of"))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            self.entered.clear();
        }
        for name in components(&target).into_iter().rev() {
            self.pending.push_front(name);
        }
        Ok(())
    }
}

fn components(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            _ => None,
        })
        .collect()
}

/// Makes a directory or a file, and refers to it; `None` where there is something of this name.
fn make(parent: impl AsFd, name: &OsStr, missing: Missing) -> Result<Option<OwnedFd>, Errno> {
    let (parent, name) = (parent.as_fd(), name.as_bytes());
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = match missing {
        Missing::Directory => rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)).and_then(|()| {
            let flags = flags | OFlags::PATH | OFlags::DIRECTORY;
            rustix::fs::openat(parent, name, flags, Mode::empty())
        }),
        Missing::File => {
            let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::RDONLY;
            rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644))
        }
    };
    match made {
        Ok(made) => Ok(Some(made)),
        // Somebody else was quicker, or has put something else in its place.
        Err(Errno::EXIST | Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Whether a descriptor refers to a directory.
pub(crate) fn is_directory(fd: impl AsFd) -> Result<bool, Errno> {
    file_type(fd).map(|kind| kind == FileType::Directory)
}

fn is_link(fd: impl AsFd) -> Result<bool, Errno> {
    file_type(fd).map(|kind| kind == FileType::Symlink)
}

fn file_type(fd: impl AsFd) -> Result<FileType, Errno> {
    let stat = rustix::fs::statat(fd, "", AtFlags::EMPTY_PATH)?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

#[cfg(test)]
mod tests;
