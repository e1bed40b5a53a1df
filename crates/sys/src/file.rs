//! Files by descriptor.

use crate::check;
use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// linux/unistd.h: one number on every architecture; `libc` has it not everywhere.
const SYS_FCHMODAT2: libc::c_long = 452;

/// Changes the mode of what `file` refers to, which may be opened with `O_PATH`, be a device, or have no name any more.
///
/// # Errors
/// `ENOSYS` before Linux 6.6; else what chmod(2) gives.
pub fn change_mode(file: impl AsFd, mode: u32) -> io::Result<()> {
    // SAFETY: the path is an empty string that outlives the call; the kernel only reads it.
    check(unsafe {
        libc::syscall(SYS_FCHMODAT2, file.as_fd().as_raw_fd(), c"".as_ptr(), mode, libc::AT_EMPTY_PATH)
    })?;
    Ok(())
}
