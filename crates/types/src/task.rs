//! What the engine and a container's shim say to each other.
//!
//! # The bundle
//! The engine makes `<run>/containers/<id>/` with `config.json` (the OCI runtime specification) and `task.json`
//! ([`TaskConfig`]), and starts `sampan-shim task <bundle>` with one end of a stream socket as descriptor 3. The shim
//! adds `state.json` ([`TaskState`], replaced by rename at each change), `shim.sock` (the same protocol for whoever
//! connects later) and, beside the bundles, an entry `<run>/shims/<pid>-<start>-<id>` by which a sweep finds dead shims
//! without opening anything.
//!
//! # The protocol
//! Frames both ways: four bytes of length, big endian, then JSON ([`Request`], [`Reply`]); descriptors travel as
//! `SCM_RIGHTS` with the first byte of a frame. On descriptor 3 the shim speaks first: [`Reply::Created`] or
//! [`Reply::Failed`]. After that each request on a connection is answered in order; [`Reply::Exited`] is pushed in
//! between whenever something ends that the connection waits for.
//!
//! # The end
//! When the container's init ends (and does not reboot), the shim writes the exit into `state.json`, pushes
//! [`Reply::Exited`] to those who wait, and then runs [`TaskConfig::on_exit`] in its own place (`execve`), so that network and
//! record are tidied without a daemon. Where a waiting connection asked with `cleans: true`, the shim first gives it
//! the chance: it exits at [`Request::Cleaned`], and runs `on_exit` if that connection is closed without it. Descriptor 3
//! is taken for such a connection until `Start` has succeeded: after [`Reply::Failed`] to create or start the engine
//! tidies and says `Cleaned`; if it goes before `Start`, the container is killed and `on_exit` runs.
//!
//! The entry in `<run>/shims` stays until all is tidy, so that a sweep finds whatever was interrupted: the shim removes it
//! at `Cleaned`; `on_exit`, which has the shim's process number and start time, removes it as its last act.
//! What goes wrong when nobody listens stands in `<bundle>/shim.log`, which is `on_exit`'s standard error too.

use crate::{ContainerId, ErrorKind, ExitRecord, Mount, spec};
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::SystemTime};

/// What a shim needs beside the OCI specification.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskConfig {
    /// The container.
    pub id: ContainerId,
    /// How the root filesystem is made, inside the container's namespaces and id-mapped where it has a user namespace.
    pub rootfs: Mount,
    /// A reboot or poweroff from inside is understood (system containers): a reboot starts init again in the same
    /// user and network namespaces, so that addresses stay.
    pub system: bool,
    /// Whether standard input is a pipe that stays open for attachers; `/dev/null` otherwise. Ignored with a terminal.
    pub stdin_open: bool,
    /// Standard input ends when the first client that was attached to it goes, though it did not end it (Docker's
    /// `StdinOnce`: `run -i` whose terminal was closed). Ignored with a terminal.
    #[serde(default)]
    pub stdin_once: bool,
    /// Standard output and error are appended here as lines of JSON (`{"log":…,"stream":…,"time":…}`).
    pub log: Option<PathBuf>,
    /// Rows and columns of the terminal at start.
    pub console_size: Option<(u16, u16)>,
    /// Program and arguments to become at the end.
    pub on_exit: Vec<String>,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskStatus {
    /// Namespaces, mounts and cgroups are there; the program has not been run (OCI "created").
    Created,
    /// The program runs.
    Running,
    /// Init has ended.
    Stopped,
}

/// A process, told apart from a later one with the same number by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process number in the host's namespace.
    pub pid: i32,
    /// Start time in clock ticks after boot (`/proc/<pid>/stat`, field 22).
    pub start: u64,
}

/// The shim's facts about its container: `state.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskState {
    /// The container.
    pub id: ContainerId,
    /// Where it stands.
    pub status: TaskStatus,
    /// The shim.
    pub shim: ProcessId,
    /// The container's init.
    pub init: ProcessId,
    /// When the program was started.
    pub started_at: Option<SystemTime>,
    /// How often init has been started again (reboots).
    #[serde(default)]
    pub restarts: u32,
    /// How it ended, once stopped.
    pub exit: Option<ExitRecord>,
}

/// What a client asks of a shim.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Runs the program; legal once, when created. Answer: [`Reply::Started`] after `execve` succeeded.
    Start,
    /// Connects to the task's stdio; legal at any time, before start too, so that nothing is lost. Answer:
    /// [`Reply::Attached`] with one descriptor: a stream socket. With a terminal it carries raw bytes both ways; without one, output comes as Docker's
    /// frames (stream number 1 or 2, three zero bytes, length in four bytes big endian), input goes raw. Shutting down
    /// the writing side ends the input (not a terminal's). The shim never blocks the container on an attacher that has
    /// gone. One that reads slowly holds the container's output up, as a pipe would, where it came over descriptor 3,
    /// before the start or with stdin, so that `run` in the foreground loses nothing (given up when it has taken nothing
    /// for ten minutes); any other one is dropped when it lags by more than 1 MiB.
    Attach {
        /// Whether what the client writes becomes standard input.
        stdin: bool,
    },
    /// Runs another process in the container. Without `process.terminal`, three descriptors come along: its stdin,
    /// stdout, stderr. Answer: [`Reply::ExecStarted`]; with a terminal, one descriptor: the master of its pty. When
    /// it ends, [`Reply::Exited`] with its `exec` number is pushed on this connection.
    Exec {
        /// The process, complete: environment, user, capabilities.
        process: Box<spec::Process>,
    },
    /// Sends a signal to init, or to an exec's process. Answer: [`Reply::Done`].
    Signal {
        /// Signal number.
        signal: i32,
        /// The exec's number; `None` is init.
        exec: Option<u32>,
    },
    /// Ends the container: `signal` to init, then, after `timeout_ms`, `SIGKILL` to all. A reboot that races with it
    /// does not start init again. Answer: [`Reply::Done`] at once.
    Stop {
        /// Signal number sent first.
        signal: i32,
        /// Patience in milliseconds; 0 kills at once, `None` waits for ever.
        timeout_ms: Option<u64>,
    },
    /// Sets a terminal's size. Answer: [`Reply::Done`].
    Resize {
        /// The exec's number; `None` is init's terminal.
        exec: Option<u32>,
        /// Rows.
        rows: u16,
        /// Columns.
        cols: u16,
    },
    /// Asks for [`Reply::Exited`] when init ends. Not answered by itself.
    Wait {
        /// This client tidies after the exit and then says [`Request::Cleaned`].
        cleans: bool,
    },
    /// The client has tidied; the shim ends without running `on_exit`. Descriptors that come along are closed with it:
    /// such as take the kernel long to close.
    Cleaned,
    /// Answer: [`Reply::State`].
    State,
}

/// What a shim answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// First frame on descriptor 3: the container stands at OCI "created". One descriptor: its network namespace.
    Created {
        /// Init.
        init: ProcessId,
        /// What the runtime passed over, in words for the user.
        #[serde(default)]
        warnings: Vec<String>,
    },
    /// Init runs the program.
    Started {
        /// When.
        at: SystemTime,
    },
    /// Stdio is connected.
    Attached,
    /// The exec's process runs.
    ExecStarted {
        /// Its number within this shim.
        exec: u32,
        /// Its process.
        process: ProcessId,
    },
    /// Something ended: init (`exec: None`) or an exec.
    Exited {
        /// The exec's number; `None` is init.
        exec: Option<u32>,
        /// How it ended.
        exit: ExitRecord,
    },
    /// Done as asked.
    Done,
    /// The task's facts.
    State(TaskState),
    /// The request failed.
    Failed(Failure),
}

/// An error on its way through a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The class.
    pub kind: ErrorKind,
    /// What failed on which object.
    pub what: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl From<&crate::Error> for Failure {
    fn from(error: &crate::Error) -> Self {
        Self {
            kind: error.kind(),
            what: error.to_string(),
            causes: error.causes(),
            hint: error.remedy().map(str::to_owned),
        }
    }
}

impl From<Failure> for crate::Error {
    fn from(failure: Failure) -> Self {
        let mut error = Self::new(failure.kind, failure.what);
        if !failure.causes.is_empty() {
            error = error.because(failure.causes.join(": "));
        }
        match failure.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn an_error_crosses_a_socket() {
        let error =
            Error::new(ErrorKind::CommandNotFound, "cannot run \"x\"").because("not in $PATH").hint("look");
        let text = serde_json::to_string(&Failure::from(&error)).unwrap();
        let back: Error = serde_json::from_str::<Failure>(&text).unwrap().into();
        assert_eq!(format!("{back:?}"), format!("{error:?}"));
    }
}
