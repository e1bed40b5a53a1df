//! Signals that the caller sends while a container is in the foreground.

use rustix::process::Signal;
use sampan_types::{Error, Result};
use std::os::fd::OwnedFd;

/// Change of the terminal's size.
pub(crate) const WINCH: i32 = 28;

/// What is passed on to the container's program, as Docker's `--sig-proxy` does.
const PASSED: &[Signal] = &[
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::CONT,
    Signal::ALARM,
];

/// A descriptor that is readable when a signal is waiting; those are blocked from now on.
pub(crate) fn descriptor(pass: bool) -> Result<OwnedFd> {
    let mut signals = vec![Signal::WINCH];
    if pass {
        signals.extend(PASSED);
    }
    sampan_sys::signal::descriptor(&signals).map_err(|source| Error::io("cannot receive signals", source))
}
