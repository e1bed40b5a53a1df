//! Cloning a process that has exactly one thread (clone(2), `clone3`).

use crate::{check, process};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
};

/// linux/sched.h; the constant of `libc` is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A process just made.
#[derive(Debug)]
pub struct Child {
    /// Its number in the caller's process namespace.
    pub pid: i32,
    /// Refers to it for ever; readable once it has ended.
    pub pidfd: OwnedFd,
}

/// Clones the calling process. The child is in new namespaces of the kinds in `namespaces`, in the control group
/// (version 2) whose directory is `cgroup` (Linux 5.7), runs `work` on a copy of the caller's memory and ends with the
/// code that it gives, by `_exit`: no destructor or exit handler of the caller's runs twice.
///
/// # Errors
/// `InvalidInput` where the caller has more than one thread, since the child would inherit locks that nobody opens;
/// else what clone3 gives (Linux 5.3): `PermissionDenied` without the right to make namespaces, `ENOSPC` beyond a limit of
/// their number.
pub fn clone(
    namespaces: UnshareFlags,
    cgroup: Option<BorrowedFd<'_>>,
    work: impl FnOnce() -> i32,
) -> io::Result<Child> {
    raw_clone(namespaces, cgroup, false, work)
}

/// As [`clone`], but the new process is the calling process's sibling: its parent is the caller's.
///
/// # Errors
/// As [`clone`]; `InvalidInput` for the first process of a process namespace.
pub fn clone_sibling(namespaces: UnshareFlags, work: impl FnOnce() -> i32) -> io::Result<Child> {
    raw_clone(namespaces, None, true, work)
}

/// Moves the calling process into a new control group namespace, whose root is the group that it is in.
///
/// # Errors
/// Those of `unshare(2)`: `CAP_SYS_ADMIN` is needed.
pub fn unshare_cgroup() -> io::Result<()> {
    // SAFETY: the danger of unshare(2) is a descriptor table split between threads (CLONE_FILES); CLONE_NEWCGROUP alone
    // changes only how control groups are named.
    unsafe { unshare_unsafe(UnshareFlags::NEWCGROUP) }.map_err(io::Error::from)
}

/// Makes a new time namespace for the calling process's children, and for itself once it joins it
/// (time_namespaces(7)): until then its offsets can be written.
///
/// # Errors
/// Those of `unshare(2)`: `CAP_SYS_ADMIN` is needed; `EINVAL` before Linux 5.6.
pub fn unshare_time() -> io::Result<()> {
    // SAFETY: the danger of unshare(2) is a descriptor table split between threads (CLONE_FILES); CLONE_NEWTIME alone
    // changes only which clocks later processes see.
    unsafe { unshare_unsafe(UnshareFlags::NEWTIME) }.map_err(io::Error::from)
}

fn raw_clone(
    namespaces: UnshareFlags,
    cgroup: Option<BorrowedFd<'_>>,
    sibling: bool,
    work: impl FnOnce() -> i32,
) -> io::Result<Child> {
    if process::thread_count()? != 1 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a process with several threads cannot be cloned",
        ));
    }
    let mut pidfd: libc::c_int = -1;
    let mut flags = u64::from(namespaces.bits()) | libc::CLONE_PIDFD as u64;
    if cgroup.is_some() {
        flags |= CLONE_INTO_CGROUP;
    }
    if sibling {
        flags |= libc::CLONE_PARENT as u64;
    }
    let args = libc::clone_args {
        flags,
        pidfd: (&raw mut pidfd).addr() as u64,
        child_tid: 0,
        parent_tid: 0,
        // A sibling has the caller's.
        exit_signal: if sibling { 0 } else { libc::SIGCHLD as u64 },
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: cgroup.map_or(0, |directory| directory.as_raw_fd() as u64),
    };
    // SAFETY: `args` is a valid clone_args that the kernel only reads, but for the pidfd it stores at a local that
    // outlives the call. Without CLONE_VM the child has its own copy of all memory and goes on with the same stack; the
    // caller has one thread, so no lock in that copy is held by a thread that does not exist there.
    let pid =
        check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) })?;
    if pid == 0 {
        let code = catch_unwind(AssertUnwindSafe(work)).unwrap_or(101);
        // SAFETY: ends the process at once; nothing of it is used afterwards.
        unsafe { libc::_exit(code) }
    }
    // SAFETY: clone3 succeeded with CLONE_PIDFD, so `pidfd` is a new descriptor that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Child { pid: pid as i32, pidfd })
}
