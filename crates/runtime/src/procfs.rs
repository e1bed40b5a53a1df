//! Files of `/proc` that the runtime writes to, verified to be the kernel's: what a container or a joined mount namespace
//! has put in their place would turn a setting into a write to somebody else's file (CVE-2019-16884, CVE-2025-52881).

use crate::error::Cannot;
use rustix::{
    fs::{Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags},
    io::Errno,
};
use sampan_types::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, OwnedFd};

/// The inode of a proc filesystem's root (`PROC_ROOT_INO`).
const ROOT_INODE: u64 = 1;

/// The root of the `/proc` that the calling process sees.
#[derive(Debug)]
pub(crate) struct Proc(OwnedFd);

impl Proc {
    /// Opens it; refuses one that is no proc filesystem, or only a part of one.
    pub(crate) fn open() -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = rustix::fs::open("/proc", flags, Mode::empty()).cannot(|| "open /proc".into())?;
        let genuine = holds(&root).cannot(|| "inspect /proc".into())?
            && rustix::fs::fstat(&root).is_ok_and(|stat| stat.st_ino == ROOT_INODE);
        match genuine {
            true => Ok(Self(root)),
            false => Err(Error::new(ErrorKind::PermissionDenied, "cannot use /proc")
                .because("it is not the root of a proc filesystem")),
        }
    }

    /// Opens a file below it that no other mount covers and no link leads away from.
    pub(crate) fn open_file(&self, path: &str, flags: OFlags) -> Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve).map_err(|errno| {
            let error = Error::io(format!("cannot open /proc/{path}"), errno.into());
            match errno {
                Errno::XDEV => error.hint("another mount covers it; unmount that"),
                _ => error,
            }
        })
    }

    /// Writes to one, in one go.
    pub(crate) fn write(&self, path: &str, text: &str) -> Result<()> {
        let file = self.open_file(path, OFlags::WRONLY)?;
        rustix::io::write(file, text.as_bytes())
            .map(drop)
            .cannot(|| format!("write {:?} to /proc/{path}", text.trim_end()))
    }
}

/// Whether a file is on a proc filesystem.
pub(crate) fn holds(file: impl AsFd) -> rustix::io::Result<bool> {
    rustix::fs::fstatfs(file).map(|statfs| statfs.f_type == PROC_SUPER_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_files_are_written_and_nothing_else() {
        let proc = Proc::open().unwrap();
        proc.write("thread-self/comm", "tested").unwrap();
        assert_eq!(std::fs::read_to_string("/proc/thread-self/comm").unwrap(), "tested\n");
        let error = proc.write("self/root/etc/none", "x").unwrap_err();
        assert_eq!(error.causes(), ["Too many levels of symbolic links (os error 40)"], "a magic link");
        assert!(proc.write("../etc/none", "x").is_err());
    }
}
