//! Paths inside a root filesystem that may be hostile.
//!
//! Every look-up goes through openat2(2) with `RESOLVE_IN_ROOT`: symbolic links and `..` cannot lead outside, whatever
//! the image contains and whoever changes it meanwhile. What is found is held by a descriptor, never by its name.

use crate::error::Cannot;
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

/// What a missing target is created as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// A directory, mode 0755.
    Directory,
    /// An empty file, mode 0644.
    File,
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
pub(crate) fn open_or_create(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> Result<OwnedFd> {
    match open(root, path) {
        Ok(target) => Ok(target),
        Err(Errno::NOENT) => create(root, path, missing),
        Err(errno) => Err(errno).cannot(|| format!("open {} in the root filesystem", path.display())),
    }
}

/// The directory that holds `path`, created where it is missing, and the path's last name.
pub(crate) fn open_parent<'a>(root: BorrowedFd<'_>, path: &'a Path) -> Result<(OwnedFd, &'a OsStr)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(crate::error::invalid(
            format!("invalid path {} in the root filesystem", path.display()),
            "it must end with a name",
        ));
    };
    Ok((open_or_create(root, parent, Missing::Directory)?, name))
}

/// Creates `path` component by component. A dangling symbolic link is followed to where it points inside the root, and
/// that is created.
fn create(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> Result<OwnedFd> {
    let mut walk = Walk { pending: components(path), at: PathBuf::new(), links: 0 };
    while let Some(name) = walk.pending.pop_front() {
        if name == ".." {
            walk.at.pop();
            continue;
        }
        let next = walk.at.join(&name);
        let last = walk.pending.is_empty();
        match open_with(root, &next, OFlags::PATH | OFlags::NOFOLLOW, ResolveFlags::empty()) {
            Ok(found) => {
                let stat = rustix::fs::fstat(&found).cannot(|| format!("inspect {}", next.display()))?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                    walk.follow(&found, path)?;
                    continue;
                }
            }
            Err(Errno::NOENT) => {
                let parent = open(root, &walk.at).cannot(|| format!("open {}", walk.at.display()))?;
                make(&parent, &name, if last { missing } else { Missing::Directory })
                    .cannot(|| format!("create {} in the root filesystem", path.display()))?;
            }
            Err(errno) => {
                return Err(errno).cannot(|| format!("open {} in the root filesystem", next.display()));
            }
        }
        walk.at = next;
    }
    open(root, &walk.at).cannot(|| format!("open {} in the root filesystem", path.display()))
}

/// A walk through a path whose symbolic links are taken apart.
struct Walk {
    pending: VecDeque<OsString>,
    /// Where it stands, below the root, without links.
    at: PathBuf,
    links: usize,
}

impl Walk {
    fn follow(&mut self, link: &OwnedFd, whole: &Path) -> Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS {
            let what = format!("cannot create {} in the root filesystem", whole.display());
            return Err(Error::new(ErrorKind::InvalidInput, what).because("too many symbolic links"));
        }
        let target = rustix::fs::readlinkat(link, "", Vec::new())
            .cannot(|| format!("read a symbolic link of {}", whole.display()))?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            self.at = PathBuf::new();
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

fn make(parent: &OwnedFd, name: &OsStr, missing: Missing) -> Result<(), Errno> {
    let made = match missing {
        Missing::Directory => rustix::fs::mkdirat(parent, name.as_bytes(), Mode::from_raw_mode(0o755)),
        Missing::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(parent, name.as_bytes(), flags, Mode::from_raw_mode(0o644)).map(drop)
        }
    };
    match made {
        // Somebody else made it meanwhile, which is as good.
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

/// Whether a descriptor refers to a directory.
pub(crate) fn is_directory(fd: impl AsFd) -> Result<bool, Errno> {
    let stat = rustix::fs::statat(fd, "", AtFlags::EMPTY_PATH)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

#[cfg(test)]
mod tests;
