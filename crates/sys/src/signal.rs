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
    block(&set)
}

fn block(set: &libc::sigset_t) -> io::Result<OwnedFd> {
    let set = std::ptr::from_ref(set);
    // SAFETY: both calls read `set`, which outlives them; a null pointer says that the old mask is not asked for.
    check(unsafe { libc::sigprocmask(libc::SIG_BLOCK, set, std::ptr::null_mut()) })?;
    // SAFETY: as above.
    let fd = check(unsafe { libc::signalfd(-1, set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })?;
    // SAFETY: signalfd gave a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Has a program that is about to be started see no signal as blocked, whatever this process blocks: a mask survives `execve`.
pub fn unblock_in(command: &mut std::process::Command) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt as _;
    let unblock = || {
        let set = empty_set();
        // SAFETY: reads an initialised set; the old mask is not asked for.
        check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) })?;
        Ok(())
    };
    // SAFETY: the closure calls only what is safe after a fork (signal-safety(7)) and allocates nothing.
    unsafe { command.pre_exec(unblock) }
}

/// As [`descriptor`], for every signal that may come from another process, real-time ones included: for who passes them on. Not
/// those that a process brings upon itself (a fault, a closed pipe), and none that cannot be blocked. `SIGCHLD` gets its default
/// disposition: ignored by who started this program, it would take children away before they are waited for.
///
/// # Errors
/// As [`descriptor`].
pub fn descriptor_of_all() -> io::Result<OwnedFd> {
    const OWN: [libc::c_int; 9] = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGSYS,
        libc::SIGPIPE,
        libc::SIGURG,
    ];
    let mut set = full_set();
    for signal in OWN {
        // SAFETY: `set` is an initialised set; the number is a valid signal's.
        check(unsafe { libc::sigdelset(&raw mut set, signal) })?;
    }
    // SAFETY: the default disposition runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    block(&set)
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

    #[test]
    fn all_that_may_come_from_others_are_read_and_programs_see_none_blocked() {
        let fd = descriptor_of_all().unwrap();
        for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGWINCH, 40] {
            // SAFETY: raises a signal that this thread blocks.
            unsafe { libc::raise(signal) };
            assert_eq!(next(&fd).unwrap(), Some(signal));
        }
        let mut command = std::process::Command::new("grep");
        let output = unblock_in(command.args(["SigBlk", "/proc/self/status"])).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "SigBlk:\t0000000000000000");
    }
}
