//! What a namespace's file tells (ioctl_nsfs(2)).

use crate::check;
use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// `NS_GET_NSTYPE`: `_IO(0xb7, 3)` (linux/nsfs.h).
const GET_TYPE: u64 = 0xb703;

/// The kind of namespace that a descriptor refers to, as clone(2) names it (`CLONE_NEW…`; Linux 4.11).
///
/// # Errors
/// `ENOTTY` where it is no namespace.
pub fn kind(namespace: impl AsFd) -> io::Result<u32> {
    // SAFETY: takes no argument and touches no memory of ours; other files answer with an error.
    let kind = check(unsafe { libc::ioctl(namespace.as_fd().as_raw_fd(), GET_TYPE as libc::Ioctl) })?;
    Ok(kind as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn kinds_are_told_apart() {
        let kind = |path| kind(File::open(path).unwrap());
        assert_eq!(kind("/proc/self/ns/net").unwrap(), libc::CLONE_NEWNET as u32);
        assert_eq!(kind("/proc/self/ns/time").unwrap(), 0x80);
        assert_eq!(kind("/etc/passwd").unwrap_err().raw_os_error(), Some(libc::ENOTTY));
    }
}
