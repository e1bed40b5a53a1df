//! How a process ended, and what that means for a container.

use rustix::{
    fd::BorrowedFd,
    process::{Signal, WaitId, WaitIdOptions, waitid},
};
use sampan_types::{Error, ExitRecord};
use std::time::SystemTime;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With an exit status.
    Exited(u8),
    /// Through a signal.
    Killed(i32),
}

/// What init's end asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The container is over, with this code.
    Over(u8),
    /// Init asked for a reboot.
    Reboot,
}

impl Ended {
    /// Reaps a child where it has ended. One that somebody else has reaped counts as killed: nobody can say how it ended.
    pub(crate) fn reap(pidfd: BorrowedFd<'_>) -> Option<Self> {
        match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(status)) => match status.exit_status() {
                // The kernel keeps eight bits (`_exit(2)`).
                Some(code) => Some(Self::Exited(code as u8)),
                None => Some(Self::Killed(status.terminating_signal().unwrap_or(Signal::KILL.as_raw()))),
            },
            Ok(None) | Err(rustix::io::Errno::INTR) => None,
            Err(_) => Some(Self::Killed(Signal::KILL.as_raw())),
        }
    }

    /// The code that a shell would show: 128+n after signal n.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }

    /// What it means when it is a container's init. With `reboots`, a reboot(2) from inside is understood: the kernel
    /// then ends init with `SIGHUP` for a restart and `SIGINT` for halt and poweroff (`pid_namespaces(7)`); no other
    /// sender can, since an init is immune to both unless it has a handler for them.
    pub(crate) fn meaning(self, reboots: bool) -> Meaning {
        match self {
            Self::Killed(signal) if reboots && signal == Signal::HUP.as_raw() => Meaning::Reboot,
            Self::Killed(signal) if reboots && signal == Signal::INT.as_raw() => Meaning::Over(0),
            ended => Meaning::Over(ended.code()),
        }
    }
}

/// The record of a process that ended now with `code`.
pub(crate) fn record(code: u8, started_at: Option<SystemTime>) -> ExitRecord {
    ExitRecord { code, oom_killed: false, error: None, finished_at: SystemTime::now(), started_at }
}

/// The record of a container that could not run.
pub(crate) fn failure(error: &Error, started_at: Option<SystemTime>) -> ExitRecord {
    let causes = error.causes();
    let text = std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": ");
    ExitRecord { error: Some(text), ..record(error.kind().exit_code(), started_at) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_types::ErrorKind;

    #[test]
    fn codes_are_a_shells() {
        assert_eq!(Ended::Exited(3).code(), 3);
        assert_eq!(Ended::Killed(9).code(), 137);
        assert_eq!(Ended::Killed(64).code(), 192);
    }

    #[test]
    fn a_reboot_is_understood_only_where_it_may_happen() {
        assert_eq!(Ended::Killed(1).meaning(true), Meaning::Reboot);
        assert_eq!(Ended::Killed(2).meaning(true), Meaning::Over(0));
        assert_eq!(Ended::Killed(1).meaning(false), Meaning::Over(129));
        assert_eq!(Ended::Killed(9).meaning(true), Meaning::Over(137));
        assert_eq!(Ended::Exited(1).meaning(true), Meaning::Over(1));
    }

    #[test]
    fn a_failure_has_its_kinds_code_and_all_causes() {
        let error = Error::new(ErrorKind::CommandNotFound, "cannot run \"x\"").because("not in $PATH");
        let record = failure(&error, None);
        assert_eq!((record.code, record.error.as_deref()), (127, Some("cannot run \"x\": not in $PATH")));
    }
}
