//! Signals: those a process is told of through a descriptor, and a clean slate for a new program.

use crate::check;
use rustix::process::Signal;
use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, FromRawFd, OwnedFd},
};

/// The highest signal number of Linux.
const LAST: libc::c_int = 64;

/// Blocks these signals for the calling thread and gives a non-blocking descriptor that is readable when one is
/// waiting (signalfd(2)). Read it with [`next`].
///
/// # Errors
/// Where descriptors have run out.
pub fn descriptor(signals: &[Signal]) -> io::Result<OwnedFd> {
    let mut set = empty_set();
    for signal in signals {
        // SAFETY: `set` is an initialised set; the number is a valid signal's.
        check(unsafe { libc::sigaddset(&raw mut set, signal.as_raw()) })?;
    }
    // SAFETY: both calls read `set`, which outlives them; a null pointer says that the old mask is not asked for.
    check(unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) })?;
    // SAFETY: as above.
    let fd = check(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
    // SAFETY: signalfd gave a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Takes one waiting signal's number from [`descriptor`]; `None` when none is waiting.
///
/// # Errors
/// What read(2) gives.
pub fn next(descriptor: impl AsFd) -> io::Result<Option<i32>> {
    let mut record = [0u8; size_of::<libc::signalfd_siginfo>()];
    match rustix::io::read(descriptor, &mut record) {
        // The number is the record's first field, in the machine's byte order.
        Ok(_) => Ok(record.first_chunk::<4>().map(|bytes| i32::from_ne_bytes(*bytes))),
        Err(rustix::io::Errno::AGAIN) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives every signal its default disposition and unblocks all, as a program expects it at its start. Both survive
/// `execve`, so what the caller ignores or blocks (Rust itself ignores `SIGPIPE`) would be ignored or blocked for ever.
pub fn reset() {
    // The kernel's `struct sigaction`, all zero: default disposition, no flags, empty mask. By the kernel's own call, since
    // the C library keeps two numbers to itself and refuses to change them.
    let default = [0u64; 4];
    for number in 1..=LAST {
        // SAFETY: the structure has the kernel's size for 64-bit machines and is only read; a default disposition runs no code
        // of ours. The numbers that cannot be changed give an error that does not matter.
        unsafe {
            let none = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), none, size_of::<u64>())
        };
    }
    let set = empty_set();
    // SAFETY: reads an initialised set; the old mask is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) };
}

pub(crate) fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the whole set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

pub(crate) fn full_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigfillset initialises the whole set.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        set.assume_init()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_is_read() {
        let fd = descriptor(&[Signal::USR1]).unwrap();
        assert_eq!(next(&fd).unwrap(), None);
        // SAFETY: raises a signal that this thread blocks.
        unsafe { libc::raise(libc::SIGUSR1) };
        assert_eq!(next(&fd).unwrap(), Some(libc::SIGUSR1));
    }
}
