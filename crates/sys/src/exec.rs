//! Becoming another program (execve(2)), and what must be right just before.

use crate::check;
use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Replaces the calling process by a program. Returns only when that fails, with the reason.
pub fn execve(path: &CStr, argv: &[CString], envp: &[CString]) -> io::Error {
    let argv = pointers(argv);
    let envp = pointers(envp);
    // SAFETY: `path` ends with a null byte; both arrays end with a null pointer, and the strings they point to are
    // borrowed for the whole call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

/// The array of pointers, closed by a null pointer, that execve(2) and posix_spawn(3) take.
pub(crate) fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Marks every descriptor from `first` up to be closed at `execve` (close_range(2) with `CLOSE_RANGE_CLOEXEC`, Linux 5.11).
///
/// # Errors
/// On older kernels.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: only a flag of descriptors changes; none is closed while this program runs.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })?;
    Ok(())
}

/// Whether the descriptor `number` is open and would stay so at `execve`: all that this program opens itself would not, so this
/// one has come from its starter.
pub fn is_inherited(number: i32) -> bool {
    // SAFETY: reads a flag of a descriptor; a number that is not open gives an error.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

/// Sets the execution domain (personality(2)), as in `PER_LINUX32` (8).
///
/// # Errors
/// For a domain the kernel does not know.
pub fn set_personality(domain: u32) -> io::Result<()> {
    // SAFETY: takes a number, touches no memory of ours.
    check(unsafe { libc::personality(libc::c_ulong::from(domain)) })?;
    Ok(())
}

/// Closes one descriptor in a cloned child that is not to have it: the child's own end of a socket tells it of its parent's end only
/// where it does not hold the parent's end itself. As with [`close_others`], its owner may not be used or dropped afterwards.
pub fn close_in_child(fd: BorrowedFd<'_>) {
    // SAFETY: the caller uses nothing that owns this descriptor any more, as is demanded above.
    unsafe { libc::close(fd.as_raw_fd()) };
}

/// Closes every descriptor from `first` up but these, in a cloned child that has yet to wait before it runs its program: what its
/// parent had open is neither to be held meanwhile nor to be seen by who looks into the child.
///
/// Nothing that owns one of the closed descriptors may be used or dropped afterwards; a child that ends by `execve` or `_exit`
/// drops nothing.
///
/// # Errors
/// Before Linux 5.9, which has no close_range(2).
pub fn close_others(first: u32, keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd() as u32).filter(|fd| *fd >= first).collect();
    kept.sort_unstable();
    let mut from = first;
    for fd in kept.into_iter().chain([u32::MAX]) {
        if fd > from {
            // SAFETY: the caller uses nothing that owns these descriptors any more, as is demanded above.
            check(unsafe { libc::syscall(libc::SYS_close_range, from, fd - 1, 0) })?;
        }
        from = fd.saturating_add(1);
    }
    Ok(())
}
