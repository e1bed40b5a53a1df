//! Verbs of containers.

use crate::{
    ContainerConfig, ContainerId, ContainerName, ContainerRecord, ContainerState, ContainerType,
    EndpointRecord, PortMapping,
};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, os::fd::OwnedFd, path::PathBuf, time::SystemTime};

/// Configures a container: record, name, address and a writable snapshot of the image. Nothing runs yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreateContainer {
    /// Name; one is made up where absent.
    pub name: Option<ContainerName>,
    /// Everything else.
    pub config: ContainerConfig,
    /// The address to reserve; the next free one where absent.
    pub ip: Option<IpAddr>,
}

/// A configured container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreatedContainer {
    /// Identity.
    pub id: ContainerId,
    /// Name, as asked or made up.
    pub name: ContainerName,
}

/// Creates and starts in one go. Where starting fails and `create.config.auto_remove` is set, nothing stays.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunContainer {
    /// What to create.
    pub create: CreateContainer,
    /// Connect to its stdio before it runs.
    pub attach: bool,
    /// Rows and columns of the caller's terminal.
    pub console_size: Option<(u16, u16)>,
}

/// Starts a container that is created or has ended; one that runs already is only connected to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartContainer {
    /// Name, id or unique beginning of an id.
    pub container: String,
    /// Connect to its stdio before it runs.
    pub attach: bool,
    /// Rows and columns of the caller's terminal.
    pub console_size: Option<(u16, u16)>,
}

/// Connects to the stdio of a running container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttachContainer {
    /// Name, id or unique beginning of an id.
    pub container: String,
    /// Whether the caller's input goes to the container.
    pub stdin: bool,
}

/// A running task and the caller's hands on it.
#[derive(Debug)]
pub struct Task {
    /// The container.
    pub id: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// A connection to its shim ([`crate::task`]); the exit is pushed here where the task was attached to.
    pub control: OwnedFd,
    /// Its stdio, where attached.
    pub stream: Option<OwnedFd>,
    /// Whether `stream` is a terminal's raw bytes rather than frames.
    pub tty: bool,
    /// Whether its standard input is open.
    pub stdin_open: bool,
}

/// Ends a container: its stop signal, then after the time-out `SIGKILL`. No error where it does not run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StopContainer {
    /// Name, id or unique beginning of an id.
    pub container: String,
    /// Patience in seconds; `None` is the type's default (10 s app, 60 s system), -1 waits for ever.
    pub timeout_s: Option<i64>,
    /// Another first signal.
    pub signal: Option<i32>,
}

/// Stops (where it runs) and starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RestartContainer {
    /// Name, id or unique beginning of an id.
    pub container: String,
    /// As in [`StopContainer`].
    pub timeout_s: Option<i64>,
}

/// Sends a signal to a running container's init; [`crate::ErrorKind::Conflict`] where it does not run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KillContainer {
    /// Name, id or unique beginning of an id.
    pub container: String,
    /// Signal number.
    pub signal: i32,
}

/// Removes a container with its writable layer, log and address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveContainer {
    /// Name, id or unique beginning of an id.
    pub container: String,
    /// Kill it first where it runs; without, a running container is [`crate::ErrorKind::Conflict`].
    pub force: bool,
}

/// Waits until a container has ended; at once where it does not run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WaitContainer {
    /// Name, id or unique beginning of an id.
    pub container: String,
}

/// Lists containers, the youngest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListContainers {
    /// Also those that do not run.
    pub all: bool,
}

/// One line of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerSummary {
    /// Identity.
    pub id: ContainerId,
    /// Name.
    pub name: ContainerName,
    /// App or system.
    #[serde(rename = "type")]
    pub container_type: ContainerType,
    /// The image as it was named.
    pub image: String,
    /// The command, where it is not the image's own.
    pub command: Vec<String>,
    /// What it is doing.
    pub state: ContainerState,
    /// Exit code of the last run.
    pub exit_code: Option<u8>,
    /// When it was created.
    pub created_at: SystemTime,
    /// When it was started, where it runs; when it ended, where it has.
    pub since: Option<SystemTime>,
    /// Address.
    pub endpoint: Option<EndpointRecord>,
    /// Published ports.
    pub ports: Vec<PortMapping>,
}

/// Everything known of one container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InspectContainer {
    /// Name, id or unique beginning of an id.
    pub container: String,
}

/// A container's record with what is seen of it now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerDetails {
    /// The configured thing.
    pub record: ContainerRecord,
    /// What it is doing.
    pub state: ContainerState,
    /// Init's process number in the host's namespace, where it runs.
    pub pid: Option<i32>,
    /// When it was started, where it runs.
    pub started_at: Option<SystemTime>,
    /// How often it rebooted in this run.
    pub restarts: u32,
    /// What was run: entrypoint and command after merging with the image.
    pub args: Vec<String>,
    /// First id of the range that the container's root is mapped to, where it runs in one of its own.
    pub id_base: Option<u32>,
    /// The gateway of its network.
    pub gateway: Option<IpAddr>,
    /// Prefix length of its IPv4 address.
    pub prefix_length: Option<u8>,
    /// Where its output is logged.
    pub log: PathBuf,
}

/// Gives the path of a container's log (lines of JSON: `log`, `stream`, `time`).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenLogs {
    /// Name, id or unique beginning of an id.
    pub container: String,
}

/// Tidies after a container that has ended: network, runtime files, record of the exit; the container itself where it
/// was to be removed. What a shim runs at its end; legal at any time, does nothing where the container runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CleanUpContainer {
    /// Identity.
    pub id: ContainerId,
}

/// Stops every container and takes the engine's networks and control groups off the host; nothing that is configured
/// is lost. The next start brings them back.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ShutDown {
    /// As in [`StopContainer`].
    pub timeout_s: Option<i64>,
}
