//! What a runtime tells of a container (runtime.md, "State"): to hooks and to callers.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// A container's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Version of the specification.
    pub oci_version: String,
    /// The container.
    pub id: String,
    /// Where it stands.
    pub status: Status,
    /// Init, in the namespace of who reads this; absent once it has ended.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// From the configuration.
    #[serde(default)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Where a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Being made.
    Creating,
    /// Made; the program has not been run.
    Created,
    /// The program runs.
    Running,
    /// Frozen (not in the specification; every runtime has it).
    Paused,
    /// The program has ended.
    Stopped,
}

/// What is sent with a seccomp notify descriptor (config-linux.md, "Container Process State").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessState {
    /// Version of the specification.
    pub oci_version: String,
    /// Names of the descriptors sent along.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fds: Vec<String>,
    /// The process whose filter it is.
    pub pid: i32,
    /// From the configuration's `listenerMetadata`.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// The container.
    pub state: State,
}
