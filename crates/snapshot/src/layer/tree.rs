//! The tree a layer is unpacked into: directories are found and made here, and nothing outside of it ever.

use super::{field::damaged, metadata, whiteout};
use crate::LayerTarget;
use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, fstat, futimens,
        openat, openat2, statat, unlinkat,
    },
    io::Errno,
};
use std::{
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::PathBuf,
    rc::Rc,
};

/// The layer's directory, and the trees below it.
pub(super) struct Tree {
    pub(super) upper: OwnedFd,
    pub(super) lower: Vec<OwnedFd>,
    /// The directory of the last entry: the next one is mostly there too.
    last: Option<(Vec<u8>, Rc<OwnedFd>)>,
    /// Modification times of directories, set when nothing is made in them any more.
    times: Vec<(Vec<u8>, Timespec)>,
}

impl Tree {
    pub(super) fn open(target: &LayerTarget) -> io::Result<Self> {
        let open = |path: &PathBuf| -> io::Result<OwnedFd> {
            Ok(openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
        };
        Ok(Self {
            upper: open(&target.upper)?,
            lower: target.lower.iter().map(open).collect::<io::Result<_>>()?,
            last: None,
            times: Vec::new(),
        })
    }

    /// The directory with this path, made where it is not there.
    pub(super) fn directory(&mut self, path: &[u8]) -> io::Result<Rc<OwnedFd>> {
        if let Some((last, directory)) = &self.last
            && last == path
        {
            return Ok(Rc::clone(directory));
        }
        let directory = match open_in(&self.upper, path) {
            Err(Errno::NOENT) => self.make_path(path)?,
            opened => opened?,
        };
        let directory = Rc::new(directory);
        self.last = Some((path.to_vec(), Rc::clone(&directory)));
        Ok(directory)
    }

    /// The directory with this path in the layer itself, if it is there.
    pub(super) fn existing(&self, path: &[u8]) -> io::Result<Option<OwnedFd>> {
        match open_in(&self.upper, path) {
            Err(Errno::NOENT) => Ok(None),
            opened => Ok(Some(opened?)),
        }
    }

    /// Remembers the time of a directory until the end.
    pub(super) fn set_time_later(&mut self, path: &[u8], time: Timespec) {
        self.times.push((path.to_vec(), time));
    }

    /// Sets the times of all directories.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        for (path, time) in self.times.drain(..) {
            match open_in(&self.upper, &path) {
                // A later entry has taken its place.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                opened => {
                    let times = Timestamps { last_access: time, last_modification: time };
                    futimens(opened?, &times)?;
                }
            }
        }
        Ok(())
    }

    /// Removes what stands in an entry's place. Gives whether it was a whiteout.
    pub(super) fn clear(&mut self, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
        let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            stat => stat?,
        };
        // The remembered directory may be the one that goes.
        self.last = None;
        if is(&stat, FileType::Directory) {
            fs::remove_dir_all(entry_path(parent, name))?;
        } else {
            unlinkat(parent, name, AtFlags::empty())?;
        }
        Ok(whiteout::is_whiteout(&stat))
    }

    /// Makes a directory in the layer as it is in the layers below.
    pub(super) fn copy_directory(&mut self, path: &[u8], from: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let (parent, name) = split_last(path);
        let parent = open_in(&self.upper, parent)?;
        if self.clear(parent.as_fd(), name)? {
            return self.make_opaque_directory(parent.as_fd(), name);
        }
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
        if let Some(from) = from {
            let made = open_in(&parent, name)?;
            metadata::copy(from, made.as_fd())?;
            let stat = fstat(from)?;
            self.set_time_later(path, Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ });
        }
        Ok(())
    }

    /// Makes a directory that hides what the layers below have in its place.
    fn make_opaque_directory(&self, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
        whiteout::make_opaque(open_in(parent, name)?.as_fd())
    }
}

/// Opens a directory with `root` as the root of all paths and links, as after a `chroot`.
pub(super) fn open_in(root: impl AsFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    openat2(
        root,
        if path.is_empty() { b"." } else { path },
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
}

/// A path by which calls that take no descriptor reach an entry of an open directory, without following its last part.
pub(super) fn entry_path(parent: BorrowedFd<'_>, name: &[u8]) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd())).join(OsStr::from_bytes(name))
}

/// An entry's name without `.`, doubled and leading slashes: relative to the root of the tree.
pub(super) fn normal(name: &[u8]) -> io::Result<Vec<u8>> {
    let mut path = Vec::with_capacity(name.len());
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err(damaged("its name has .. in it, and would leave the tree")),
            component => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(component);
            }
        }
    }
    Ok(path)
}

/// A normal path's directory and last component.
pub(super) fn split_last(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// Whether a file is of this type.
pub(super) fn is(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}
