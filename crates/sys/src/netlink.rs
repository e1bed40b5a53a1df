//! Options of netlink sockets (netlink(7)) for which rustix has no names.

use rustix::fd::{AsFd, AsRawFd};
use std::io;

/// Asks the kernel to explain its refusals: with `NETLINK_EXT_ACK` (Linux 4.12) an error carries a sentence, with
/// `NETLINK_CAP_ACK` (Linux 4.3) it does not repeat the refused message.
///
/// # Errors
/// Those of `setsockopt(2)`; `ENOPROTOOPT` on older kernels.
pub fn explain_errors(socket: impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    for option in [libc::NETLINK_CAP_ACK, libc::NETLINK_EXT_ACK] {
        // SAFETY: the value's address and length describe `on`, which outlives the call; the kernel only reads it.
        let result = unsafe {
            libc::setsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_NETLINK,
                option,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
