//! Running another process in a container.

use crate::EnvVar;
use std::{os::fd::OwnedFd, path::PathBuf};

/// Runs another process in a running container; [`crate::ErrorKind::Conflict`] where it does not run.
#[derive(Debug)]
pub struct ExecContainer {
    /// Name, id or unique beginning of an id.
    pub container: String,
    /// Program and arguments, not empty.
    pub command: Vec<String>,
    /// Added to the container's environment.
    pub env: Vec<EnvVar>,
    /// Instead of the container's working directory.
    pub working_dir: Option<PathBuf>,
    /// `user[:group]` instead of the container's user.
    pub user: Option<String>,
    /// Give it a terminal; otherwise it gets `stdio`.
    pub tty: bool,
    /// Rows and columns of the caller's terminal.
    pub console_size: Option<(u16, u16)>,
    /// Its standard input, output and error, without a terminal.
    pub stdio: Option<[OwnedFd; 3]>,
}

/// A running process in a container and the caller's hands on it.
#[derive(Debug)]
pub struct ExecTask {
    /// A connection to the shim; [`crate::task::Reply::Exited`] is pushed here.
    pub control: OwnedFd,
    /// Its number within the shim.
    pub exec: u32,
    /// The master of its terminal, where it has one.
    pub console: Option<OwnedFd>,
}
