//! A process that was started beside init.

use crate::exit::Ended;
use rustix::{
    event::PollFlags,
    fd::{AsFd as _, BorrowedFd, OwnedFd},
    io::Errno,
};
use std::time::SystemTime;

/// A running exec.
#[derive(Debug)]
pub(crate) struct Exec {
    /// The connection that asked for it and hears of its end.
    pub(crate) connection: u64,
    /// When it was started.
    pub(crate) started_at: SystemTime,
    pidfd: OwnedFd,
    /// The master of its terminal, beside the client's copy.
    console: Option<OwnedFd>,
}

impl Exec {
    /// Takes over what the runtime has started.
    pub(crate) fn new(exec: sampan_runtime::Exec, connection: u64) -> Self {
        Self { connection, started_at: SystemTime::now(), pidfd: exec.pidfd, console: exec.console }
    }

    /// The process.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Its terminal.
    pub(crate) fn console(&self) -> Option<BorrowedFd<'_>> {
        self.console.as_ref().map(|console| console.as_fd())
    }

    /// Reaps the process where it has ended.
    pub(crate) fn ended(&self) -> Option<Ended> {
        Ended::reap(self.pidfd())
    }

    /// Reads from the terminal in place of a client that has gone, so that the process does not block on it.
    pub(crate) fn discard(&mut self, buffer: &mut [u8]) {
        let Some(console) = &self.console else { return };
        // Only now: the flag belongs to the open file, which the client shared.
        let _ = rustix::io::ioctl_fionbio(console, true);
        match rustix::io::read(console, buffer) {
            Ok(1..) | Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody has the terminal open any more.
            Ok(0) | Err(_) => self.console = None,
        }
    }

    /// What to poll the process for.
    pub(crate) fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        (self.pidfd(), PollFlags::IN)
    }
}
