//! Signals by number to a process that is held by a descriptor.

use crate::check;
use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// Sends a signal, real-time ones included (`rustix` knows only the named ones), with pidfd_send_signal(2).
///
/// # Errors
/// `InvalidInput` for a number that is no signal; `ESRCH` when the process has been reaped.
pub fn send_signal(process: impl AsFd, signal: i32) -> io::Result<()> {
    let fd = process.as_fd().as_raw_fd();
    let no_record = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open as long as `process` is borrowed; a null record is allowed.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, no_record, 0) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use std::{os::unix::process::ExitStatusExt, process::Command};

    #[test]
    fn a_real_time_signal_arrives_and_nonsense_is_refused() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        assert_eq!(send_signal(&pidfd, 4711).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        send_signal(&pidfd, 37).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(37));
        assert_eq!(send_signal(&pidfd, 37).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}
