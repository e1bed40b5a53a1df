//! Staying with a process until it ends: signals are passed on, its terminal is copied, and what it leaves behind is reaped.

use super::{notify::Relay, terminal::Terminal};
use crate::exit::Ended;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    io::Errno,
    process::{Signal, WaitOptions, wait},
};
use sampan_types::{Error, Result};

/// The signals of a process that stays with another one, held back until they can be passed on.
#[derive(Debug)]
pub(super) struct Attendance {
    signals: OwnedFd,
    /// Whether orphans of the container come to this process.
    subreaper: bool,
}

impl Attendance {
    /// Begins; before the process is made, so that no signal is lost.
    pub(super) fn begin(subreaper: bool) -> Result<Self> {
        let signals = sampan_sys::signal::descriptor_of_all()
            .map_err(|error| Error::io("cannot receive signals", error))?;
        if subreaper {
            let own = rustix::process::getpid();
            rustix::process::set_child_subreaper(Some(own))
                .map_err(|errno| Error::io("cannot become a subreaper", errno.into()))?;
        }
        Ok(Self { signals, subreaper })
    }

    /// Waits for the end of a child; gives the code that a shell would show.
    pub(super) fn wait(
        &self,
        pid: i32,
        pidfd: BorrowedFd<'_>,
        mut terminal: Option<Terminal>,
        mut relay: Option<Relay>,
    ) -> Result<u8> {
        loop {
            let input = self.sleep(pidfd, terminal.as_ref(), relay.as_ref())?;
            // While this process is there, it is the service's main one.
            relay = relay.filter(|relay| !relay.pass_on(None));
            self.pass_on(pidfd, terminal.as_ref())?;
            if let Some(terminal) = &mut terminal {
                terminal.copy(input);
            }
            if let Some(ended) = self.reap(pid, pidfd) {
                // What it said last is still on its way.
                terminal.iter_mut().for_each(Terminal::copy_output);
                return Ok(ended.code());
            }
        }
    }

    /// Sleeps until there is something to do; says whether standard input can be read.
    fn sleep(
        &self,
        process: BorrowedFd<'_>,
        terminal: Option<&Terminal>,
        relay: Option<&Relay>,
    ) -> Result<bool> {
        let mut entries =
            vec![PollFd::new(&self.signals, PollFlags::IN), PollFd::from_borrowed_fd(process, PollFlags::IN)];
        entries.extend(relay.map(|relay| PollFd::new(relay, PollFlags::IN)));
        entries.extend(terminal.map(Terminal::interest).into_iter().flatten());
        match poll(&mut entries, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::io("cannot wait for the container", errno.into())),
        }
        let input = rustix::stdio::stdin().as_raw_fd();
        Ok(entries.iter().any(|entry| entry.as_fd().as_raw_fd() == input && !entry.revents().is_empty()))
    }

    fn pass_on(&self, process: BorrowedFd<'_>, terminal: Option<&Terminal>) -> Result<()> {
        let failed = |error| Error::io("cannot receive signals", error);
        while let Some(signal) = sampan_sys::signal::next(&self.signals).map_err(failed)? {
            if signal == Signal::WINCH.as_raw() && terminal.is_some() {
                terminal.into_iter().for_each(Terminal::resize);
            } else if signal != Signal::CHILD.as_raw() {
                // It may have ended meanwhile.
                let _ = sampan_sys::pidfd::send_signal(process, signal);
            }
        }
        Ok(())
    }

    /// Reaps what has ended: the process, and as a subreaper also what outlived its parents in the container.
    fn reap(&self, pid: i32, pidfd: BorrowedFd<'_>) -> Option<Ended> {
        if !self.subreaper {
            return Ended::reap(pidfd);
        }
        let mut found = None;
        while let Ok(Some((reaped, status))) = wait(WaitOptions::NOHANG) {
            if reaped.as_raw_nonzero().get() == pid {
                found = Some(match (status.exit_status(), status.terminating_signal()) {
                    (_, Some(signal)) => Ended::Killed(signal),
                    (code, None) => Ended::Exited(code.unwrap_or(0) as u8),
                });
            }
        }
        found
    }
}
