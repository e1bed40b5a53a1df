//! What a layer deletes: the archive's form (image-spec 1.1, layer.md, "Whiteouts") and overlay's.

use super::{
    field::damaged,
    tree::{Tree, is},
};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, Stat, XattrFlags, fgetxattr, fsetxattr, mknodat, openat, statat},
    io::Errno,
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

/// Of overlays that are mounted with `userxattr`.
const OPAQUE: &str = "user.overlay.opaque";

/// What a name says in an archive.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mark<'a> {
    /// Nothing: it is a file.
    None,
    /// The directory it stands in hides what is below.
    Opaque,
    /// The file of this name is deleted.
    Deleted(&'a [u8]),
    /// A mark of aufs without meaning here.
    Ignored,
}

/// Reads the last component of a name.
pub(super) fn mark(name: &[u8]) -> io::Result<Mark<'_>> {
    let Some(marked) = name.strip_prefix(b".wh.") else { return Ok(Mark::None) };
    match marked {
        b".wh..opq" => Ok(Mark::Opaque),
        b"" | b"." | b".." => Err(damaged("it deletes no file that could be")),
        _ if marked.starts_with(b".wh.") => Ok(Mark::Ignored),
        _ => Ok(Mark::Deleted(marked)),
    }
}

/// Hides `name` of the layers below. What this layer itself has of that name stays, since a whiteout is about lower
/// layers only; a directory then becomes opaque.
pub(super) fn delete(tree: &Tree, parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    if tree.lower.is_empty() {
        return Ok(());
    }
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if is(&stat, FileType::Directory) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            make_opaque(openat(parent, name, flags, Mode::empty())?.as_fd())
        }
        Ok(_) => Ok(()),
        Err(Errno::NOENT) => Ok(mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0)?),
        Err(error) => Err(error.into()),
    }
}

/// Hides everything that the layers below have in a directory.
pub(super) fn make_opaque(directory: BorrowedFd<'_>) -> io::Result<()> {
    Ok(fsetxattr(directory, OPAQUE, b"y", XattrFlags::empty())?)
}

/// Whether a directory hides what the layers below have in it.
pub(super) fn is_opaque(directory: BorrowedFd<'_>) -> io::Result<bool> {
    let mut value = [0; 1];
    match fgetxattr(directory, OPAQUE, &mut value[..]) {
        Ok(length) => Ok(length == 1 && value == *b"y"),
        // ERANGE: there is a value, but a longer one.
        Err(Errno::NODATA | Errno::RANGE | Errno::NOTSUP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether a file is overlay's mark for a deleted one: a character device 0/0.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    is(stat, FileType::CharacterDevice) && stat.st_rdev == 0
}
