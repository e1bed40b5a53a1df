//! `tmpcopyup`: a tmpfs that starts with the contents of the directory it covers.

use rustix::{
    fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};
use std::{
    collections::HashMap,
    ffi::CStr,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Copies all that is below `from`, with modes, owners, times, extended attributes and hard links, and gives `to` itself the owner
/// of `from`; its mode stays, which its options may have set. Sockets stay behind, since nobody listens at a copy; so do devices where none may be made.
pub(crate) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let mut stat = rustix::fs::fstat(from)?;
    let from = directory(from, c".")?;
    // A tmpfs is mounted by an `O_PATH` descriptor.
    let to = directory(to, c".")?;
    stat.st_mode = rustix::fs::fstat(&to)?.st_mode;
    let mut links = Links::new();
    copy_entries(&from, &to, &mut links)?;
    give(&from, &to, &stat)?;
    Ok(())
}

/// Files of several names, by device and inode: the copy of the first name.
type Links = HashMap<(u64, u64), OwnedFd>;

fn copy_entries(from: &OwnedFd, to: &OwnedFd, links: &mut Links) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(from)? {
        names.push(entry?.file_name().to_owned());
    }
    for name in names.iter().filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                let (source, made) = (directory(from, name)?, directory(to, name)?);
                copy_entries(&source, &made, links)?;
                give(&source, &made, &stat)?;
            }
            FileType::RegularFile => copy_file(from, to, name, &stat, links)?,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(target, to, name)?;
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                own(&rustix::fs::openat(to, name, flags, Mode::empty())?, &stat)?;
            }
            kind @ (FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice) => {
                let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
                match rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev) {
                    Ok(()) => {
                        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                        own(&rustix::fs::openat(to, name, flags, Mode::empty())?, &stat)?;
                    }
                    Err(Errno::PERM) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn copy_file(from: &OwnedFd, to: &OwnedFd, name: &CStr, stat: &Stat, links: &mut Links) -> io::Result<()> {
    let file = (stat.st_dev, stat.st_ino);
    if let Some(first) = links.get(&file) {
        return Ok(rustix::fs::linkat(first, c"", to, name, AtFlags::EMPTY_PATH)?);
    }
    // A pipe put in its place meanwhile must not make anybody wait.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut source = File::from(rustix::fs::openat(from, name, flags | OFlags::RDONLY, Mode::empty())?);
    let made = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let mut copied = File::from(rustix::fs::openat(to, name, made, Mode::RUSR | Mode::WUSR)?);
    io::copy(&mut source, &mut copied)?;
    give(&source, &copied, stat)?;
    if stat.st_nlink > 1 {
        links.insert(file, copied.into());
    }
    Ok(())
}

/// Owner, then mode, since a new owner takes bits away, then attributes and times.
fn give(from: impl AsFd, to: impl AsFd, stat: &Stat) -> io::Result<()> {
    own(&to, stat)?;
    rustix::fs::fchmod(&to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    copy_attributes(&from, &to)?;
    let times = Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ },
    };
    Ok(rustix::fs::futimens(to, &times)?)
}

fn own(file: impl AsFd, stat: &Stat) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    match rustix::fs::chownat(file, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH) {
        // An owner that has no name in this user namespace.
        Err(Errno::INVAL | Errno::OVERFLOW) => Ok(()),
        owned => owned,
    }
}

fn copy_attributes(from: impl AsFd, to: impl AsFd) -> Result<(), Errno> {
    let mut names = Vec::with_capacity(64 << 10);
    match rustix::fs::flistxattr(&from, rustix::buffer::spare_capacity(&mut names)) {
        Ok(_) => {}
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(errno) => return Err(errno),
    }
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = Vec::with_capacity(64 << 10);
        rustix::fs::fgetxattr(&from, name, rustix::buffer::spare_capacity(&mut value))?;
        match rustix::fs::fsetxattr(&to, name, &value, XattrFlags::empty()) {
            // What this tmpfs, or who mounts it, has no right or room for.
            Ok(()) | Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn directory(at: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

    #[test]
    fn modes_links_and_attributes_are_kept() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("d")).unwrap();
        fs::write(from.path().join("d/f"), "text").unwrap();
        fs::hard_link(from.path().join("d/f"), from.path().join("same")).unwrap();
        fs::set_permissions(from.path().join("d"), fs::Permissions::from_mode(0o3555)).unwrap();
        fs::set_permissions(from.path().join("d/f"), fs::Permissions::from_mode(0o4711)).unwrap();
        std::os::unix::fs::symlink("d/f", from.path().join("link")).unwrap();
        let fifo = from.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
        let open = |path: &std::path::Path| fs::File::open(path).unwrap();
        let file = open(&from.path().join("d/f"));
        rustix::fs::fsetxattr(&file, "user.colour", b"red", XattrFlags::empty()).unwrap();
        copy(open(from.path()).as_fd(), open(to.path()).as_fd()).unwrap();
        let meta = |name: &str| fs::symlink_metadata(to.path().join(name)).unwrap();
        let mode = |name: &str| meta(name).permissions().mode() & 0o7777;
        assert_eq!((mode("d"), mode("d/f"), mode("fifo")), (0o3555, 0o4711, 0o640));
        assert_eq!(fs::read_to_string(to.path().join("link")).unwrap(), "text");
        assert_eq!(meta("d/f").ino(), meta("same").ino());
        let original = fs::metadata(from.path().join("d/f")).unwrap();
        assert_eq!(meta("d/f").mtime_nsec(), original.mtime_nsec());
        let mut value = [0; 8];
        let copied = open(&to.path().join("d/f"));
        assert_eq!(rustix::fs::fgetxattr(&copied, "user.colour", &mut value).unwrap(), 3);
    }
}
