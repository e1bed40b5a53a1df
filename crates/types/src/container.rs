//! What a container is: the configured thing in the database, and what is seen of its running tree.

use crate::{
    ContainerId, ContainerName, Digest, EnvVar, Error, ErrorKind, PortMapping, Resources, Result, VolumeSpec,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    str::FromStr,
    time::SystemTime,
};

/// Whether the container runs one program of an image or a whole operating system. Resolved once, at creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerType {
    /// One program; its exit ends the container.
    App,
    /// The root filesystem's own init, with everything it starts.
    System,
}

impl fmt::Display for ContainerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App => "app",
            Self::System => "system",
        })
    }
}

/// How the container reaches the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// An endpoint on the default bridge network.
    Bridge,
    /// A network namespace with only loopback.
    None,
    /// The host's network namespace.
    Host,
}

impl FromStr for NetworkMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "bridge" | "default" => Ok(Self::Bridge),
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            _ => Err(Error::new(ErrorKind::NotFound, format!("unknown network {text:?}"))
                .because("no network has this name")
                .hint("--network bridge, none or host")),
        }
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bridge => "bridge",
            Self::None => "none",
            Self::Host => "host",
        })
    }
}

/// Whose ids the container's processes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Userns {
    /// A range of 65,536 ids of its own, none of them the host's root.
    #[default]
    Own,
    /// The host's ids: root in the container is root on the host, with fewer capabilities.
    Host,
}

impl FromStr for Userns {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "own" | "auto" | "private" => Ok(Self::Own),
            "host" => Ok(Self::Host),
            _ => Err(Error::new(ErrorKind::InvalidInput, format!("invalid user namespace {text:?}"))
                .hint("--userns own (the default) or --userns host")),
        }
    }
}

/// All that was asked for at creation. Merged with the image's configuration when the container starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// App or system.
    #[serde(rename = "type")]
    pub container_type: ContainerType,
    /// The image as the user named it.
    pub image: String,
    /// Replaces the image's entrypoint (and drops its command).
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command; empty keeps it.
    #[serde(default)]
    pub command: Vec<String>,
    /// Added to the image's environment, later ones win.
    #[serde(default)]
    pub env: Vec<EnvVar>,
    /// Replaces the image's working directory.
    #[serde(default)]
    pub working_dir: Option<PathBuf>,
    /// `user[:group]`, names or numbers, looked up in the root filesystem.
    #[serde(default)]
    pub user: Option<String>,
    /// Host name; the short id for app, the name for system containers where absent.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Whether the process has a terminal.
    #[serde(default)]
    pub tty: bool,
    /// Whether standard input stays open.
    #[serde(default)]
    pub stdin_open: bool,
    /// Directories and files of the host shown inside.
    #[serde(default)]
    pub volumes: Vec<VolumeSpec>,
    /// Published ports. Host ports of 0 have been replaced by the chosen ones in a stored record.
    #[serde(default)]
    pub ports: Vec<PortMapping>,
    /// Network.
    pub network: NetworkMode,
    /// Limits.
    #[serde(default)]
    pub resources: Resources,
    /// User namespace.
    #[serde(default)]
    pub userns: Userns,
    /// Remove the container when it ends.
    #[serde(default)]
    pub auto_remove: bool,
    /// The signal `stop` sends first, by number; the image's or the type's where absent.
    #[serde(default)]
    pub stop_signal: Option<i32>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A container's place on a network, reserved for its whole life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// The network's name.
    pub network: String,
    /// IPv4 address.
    pub ipv4: Ipv4Addr,
    /// IPv6 address, where the network has IPv6.
    pub ipv6: Option<Ipv6Addr>,
    /// Link-layer address.
    pub mac: [u8; 6],
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// 0 to 255; 128+n after signal n.
    pub code: u8,
    /// Whether the kernel killed it for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// Why it could not start, where it never ran.
    #[serde(default)]
    pub error: Option<String>,
    /// When it ended.
    pub finished_at: SystemTime,
    /// When it had started; `None` if it never ran.
    #[serde(default)]
    pub started_at: Option<SystemTime>,
}

/// The configured thing: survives reboots, lives in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// Identity.
    pub id: ContainerId,
    /// Name, unique within the engine.
    pub name: ContainerName,
    /// What was asked for.
    pub config: ContainerConfig,
    /// The image's manifest as it was resolved at creation.
    pub image_digest: Digest,
    /// Its endpoint, where it has a network of ours.
    pub endpoint: Option<EndpointRecord>,
    /// When it was created.
    pub created_at: SystemTime,
    /// How its last run ended.
    pub last_exit: Option<ExitRecord>,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    /// Configured, never started (or start failed).
    Created,
    /// Its init process runs.
    Running,
    /// It has ended.
    Exited,
}

impl fmt::Display for ContainerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Exited => "exited",
        })
    }
}
