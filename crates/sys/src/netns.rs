//! Network namespaces of the calling thread (network_namespaces(7)).

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{Mode, OFlags},
    io,
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe},
};

/// The calling thread's network namespace.
///
/// # Errors
/// Those of `open(2)`, where `/proc` is not mounted.
pub fn current() -> io::Result<OwnedFd> {
    rustix::fs::open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Runs `work` with the calling thread in the network namespace `netns`, then goes back. Sockets that `work` opens
/// stay in that namespace. Only the calling thread moves.
///
/// # Errors
/// Those of `setns(2)`: the caller needs `CAP_SYS_ADMIN` over both namespaces. When the way back fails, the thread is
/// still in `netns`, and the caller should end it.
pub fn enter<T>(netns: impl AsFd, work: impl FnOnce() -> T) -> io::Result<T> {
    let home = current()?;
    move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))?;
    let given = work();
    move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(given)
}

/// Moves the calling thread, and only it, into a new network namespace with nothing but a loopback link that is down.
///
/// # Errors
/// Those of `unshare(2)`: `CAP_SYS_ADMIN` is needed.
pub fn unshare() -> io::Result<()> {
    // SAFETY: the danger of unshare(2) is a descriptor table split between threads (CLONE_FILES); CLONE_NEWNET alone
    // changes only which network the thread's later system calls see.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
}
