//! Owner, mode, extended attributes and times.

use super::{archive::Member, field::damaged, tree::entry_path};
use rustix::{
    fs::{
        AtFlags, Gid, Mode, Timestamps, Uid, XattrFlags, chmodat, chownat, fchmod, fchown, fgetxattr,
        flistxattr, fsetxattr, fstat, futimens, lsetxattr, utimensat,
    },
    io::Errno,
};
use std::{
    ffi::OsStr,
    io,
    os::{fd::BorrowedFd, unix::ffi::OsStrExt},
};

/// Gives an open file or directory the member's attributes, the time excepted for directories.
///
/// In this order: changing the owner takes set-id bits and capabilities away, and writing attributes moves the time.
pub(super) fn set(file: BorrowedFd<'_>, member: &Member, with_time: bool) -> io::Result<()> {
    let (uid, gid) = owner(member)?;
    fchown(file, Some(uid), Some(gid))?;
    fchmod(file, Mode::from_raw_mode(member.mode))?;
    for (name, value) in kept(member) {
        fsetxattr(file, OsStr::from_bytes(name), value, XattrFlags::empty())
            .map_err(|error| failed(name, error))?;
    }
    if with_time {
        futimens(file, &times(member))?;
    }
    Ok(())
}

/// Gives what cannot be opened (a link, a device, a fifo) the member's attributes.
pub(super) fn set_at(parent: BorrowedFd<'_>, name: &[u8], member: &Member, is_link: bool) -> io::Result<()> {
    let (uid, gid) = owner(member)?;
    chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if !is_link {
        // Made a moment ago and no link: there is nothing to follow.
        chmodat(parent, name, Mode::from_raw_mode(member.mode), AtFlags::empty())?;
    }
    for (attribute, value) in kept(member) {
        lsetxattr(entry_path(parent, name), OsStr::from_bytes(attribute), value, XattrFlags::empty())
            .map_err(|error| failed(attribute, error))?;
    }
    utimensat(parent, name, &times(member), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

/// Gives `to` owner, mode and extended attributes of `from`.
pub(super) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let stat = fstat(from)?;
    fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let mut names = vec![0; 64 << 10];
    let length = match flistxattr(from, &mut names[..]) {
        Err(Errno::NOTSUP) => 0,
        length => length?,
    };
    let mut value = vec![0; 64 << 10];
    for name in names[..length].split(|byte| *byte == 0).filter(|name| is_kept(name)) {
        let length = fgetxattr(from, OsStr::from_bytes(name), &mut value[..])?;
        fsetxattr(to, OsStr::from_bytes(name), &value[..length], XattrFlags::empty())
            .map_err(|error| failed(name, error))?;
    }
    Ok(())
}

fn owner(member: &Member) -> io::Result<(Uid, Gid)> {
    // The largest number means "leave it as it is" to chown(2).
    let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    match (id(member.uid), id(member.gid)) {
        (Some(uid), Some(gid)) => Ok((Uid::from_raw(uid), Gid::from_raw(gid))),
        _ => Err(damaged(format!("its owner {}:{} is no pair of 32-bit ids", member.uid, member.gid))),
    }
}

fn times(member: &Member) -> Timestamps {
    Timestamps { last_access: member.mtime, last_modification: member.mtime }
}

fn kept(member: &Member) -> impl Iterator<Item = (&[u8], &[u8])> {
    member
        .xattrs
        .iter()
        .filter(|(name, _)| is_kept(name))
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
}

/// Whether an attribute is content. Those of overlayfs would lead it to other files, labels are the host's.
fn is_kept(name: &[u8]) -> bool {
    let foreign = [&b"user.overlay."[..], b"trusted.overlay.", b"security.selinux"];
    !name.is_empty() && !foreign.iter().any(|prefix| name.starts_with(prefix))
}

fn failed(name: &[u8], error: Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::new(
        error.kind(),
        format!("its attribute {} cannot be set: {error}", String::from_utf8_lossy(name)),
    )
}
