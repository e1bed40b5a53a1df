//! The session keyring (session-keyring(7)).

use crate::check;
use std::{ffi::CStr, io};

/// What the kernel gives a session keyring (its possessor may do all, its owner view, read and link), and the owner's
/// right to search, without which another process could not join it by its name (linux/key.h).
const PERMISSIONS: u32 = 0x3f13_0000 | 0x0008_0000;

/// Gives the calling process the session keyring of this name, made where its user has none (keyctl(2),
/// `KEYCTL_JOIN_SESSION_KEYRING`), so that it does not share the caller's.
///
/// # Errors
/// `Unsupported` (`ENOSYS`) in kernels without keys, `EDQUOT` beyond the user's quota.
pub fn join_session(name: &CStr) -> io::Result<()> {
    // SAFETY: the kernel reads the name, which ends with a null byte and outlives the call.
    let id =
        check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) })?;
    // SAFETY: takes numbers, touches no memory of ours.
    check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, id, PERMISSIONS) })?;
    Ok(())
}
