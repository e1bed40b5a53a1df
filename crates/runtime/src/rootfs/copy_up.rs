//! `tmpcopyup`: a tmpfs that starts with the contents of the directory it covers.

use rustix::{
    fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid},
    io::Errno,
};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Copies directories, files and symbolic links with their modes and owners. Devices, sockets and pipes stay behind.
pub(crate) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let from =
        rustix::fs::openat(from, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&from)? {
        names.push(entry?.file_name().to_owned());
    }
    for name in names.iter().filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
        let stat = rustix::fs::statat(&from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        let owner = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, mode)?;
                let copied = directory(to, name)?;
                copy(directory(from.as_fd(), name)?.as_fd(), copied.as_fd())?;
                give(&copied, owner, mode)?;
            }
            FileType::RegularFile => {
                let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut source =
                    File::from(rustix::fs::openat(&from, name, flags | OFlags::RDONLY, Mode::empty())?);
                let made = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
                let mut copied = File::from(rustix::fs::openat(to, name, made, mode)?);
                io::copy(&mut source, &mut copied)?;
                give(&copied, owner, mode)?;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&from, name, Vec::new())?;
                rustix::fs::symlinkat(target, to, name)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Owner, then mode: the creation mask has taken bits away, and a new owner would take more.
fn give(fd: impl AsFd, (uid, gid): (Uid, Gid), mode: Mode) -> Result<(), Errno> {
    match rustix::fs::fchown(&fd, Some(uid), Some(gid)) {
        // An owner that has no name in this user namespace.
        Ok(()) | Err(Errno::INVAL | Errno::OVERFLOW) => rustix::fs::fchmod(&fd, mode),
        Err(errno) => Err(errno),
    }
}

fn directory(at: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn modes_and_links_are_kept() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("d")).unwrap();
        fs::write(from.path().join("d/f"), "text").unwrap();
        fs::set_permissions(from.path().join("d"), fs::Permissions::from_mode(0o3777)).unwrap();
        fs::set_permissions(from.path().join("d/f"), fs::Permissions::from_mode(0o4711)).unwrap();
        std::os::unix::fs::symlink("d/f", from.path().join("link")).unwrap();
        let open = |path: &std::path::Path| fs::File::open(path).unwrap();
        copy(open(from.path()).as_fd(), open(to.path()).as_fd()).unwrap();
        let mode = |name: &str| fs::metadata(to.path().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("d"), mode("d/f")), (0o3777, 0o4711));
        assert_eq!(fs::read_to_string(to.path().join("link")).unwrap(), "text");
    }
}
