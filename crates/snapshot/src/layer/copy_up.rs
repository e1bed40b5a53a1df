//! Bringing a file of a lower layer into the layer, so that it can be linked to.

use super::{
    metadata,
    tree::{self, Tree, is},
};
use rustix::fs::{FileType, Mode, OFlags, Timespec, Timestamps, fstat, futimens, openat};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

/// Copies the file that the lower layers show under `path` into the layer. Gives the directory it is in now; `None`
/// where the lower layers have no such file, or something that is not a regular file.
pub(super) fn copy_up(tree: &mut Tree, path: &[u8]) -> io::Result<Option<OwnedFd>> {
    let Some(found) = tree.find_lower(path)? else { return Ok(None) };
    let stat = fstat(&found)?;
    if !is(&stat, FileType::RegularFile) {
        return Ok(None);
    }
    // The descriptor only stands for the file; this opens the very same one for reading.
    let mut source = File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
    let (directory, name) = tree::split_last(path);
    let parent = tree.directory(directory)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut copy = File::from(openat(&parent, name, flags, Mode::RUSR | Mode::WUSR)?);
    io::copy(&mut source, &mut copy)?;
    metadata::copy(source.as_fd(), copy.as_fd())?;
    let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ };
    futimens(&copy, &Timestamps { last_access: time, last_modification: time })?;
    Ok(Some(parent.try_clone()?))
}
