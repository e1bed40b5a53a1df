//! What a process that outlives its starter does first.

use crate::check;
use rustix::process::Signal;
use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

/// Takes the descriptor `number` (above 2) that the starter left open, marks it `CLOEXEC`, and closes every descriptor above it: what
/// a starter forgot to mark (`flock 9` in a shell) must neither stay open as long as this process lives nor reach the
/// programs it starts.
///
/// To be called before anything is opened, and from the only thread.
///
/// # Errors
/// `AlreadyExists` when it was called before; `InvalidInput` for a number below 3; what fcntl(2) gives where the descriptor is not open.
pub fn adopt(number: i32) -> io::Result<OwnedFd> {
    static CALLED: AtomicBool = AtomicBool::new(false);
    if number <= 2 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if CALLED.swap(true, Ordering::Relaxed) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // SAFETY: changes a flag of a descriptor; a number that is not open gives EBADF.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: at this point of the program nothing in it owns a descriptor above 2, so none is closed under its owner.
    check(unsafe { libc::syscall(libc::SYS_close_range, number as libc::c_uint + 1, libc::c_uint::MAX, 0) })?;
    // SAFETY: open, as fcntl has shown, and owned by nobody: only the first call comes this far.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Ignores a signal from now on, in children too until they reset it.
pub fn ignore(signal: Signal) {
    // SAFETY: SIG_IGN runs no code of ours; KILL and STOP, which cannot be ignored, give an error that changes nothing.
    unsafe { libc::signal(signal.as_raw(), libc::SIG_IGN) };
}
