//! Network namespaces of the calling thread (network_namespaces(7)).

use crate::check;
use rustix::{
    fd::{AsFd, AsRawFd, OwnedFd},
    fs::{Mode, OFlags},
    io,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
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

/// Brings up the loopback link of the calling thread's network namespace (netdevice(7), `SIOCSIFFLAGS`).
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` over the namespace.
pub fn bring_loopback_up() -> std::io::Result<()> {
    // Any socket will do.
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut name = [0; libc::IFNAMSIZ];
    name[0] = b'l' as libc::c_char;
    name[1] = b'o' as libc::c_char;
    let request = libc::ifreq {
        ifr_name: name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_flags: (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short,
        },
    };
    // SAFETY: the structure is the one that the request takes, names a link by a text that ends with a null byte, and
    // outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as libc::Ioctl, &raw const request) })?;
    Ok(())
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
