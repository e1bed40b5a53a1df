//! What is kept of a container for later processes.

use crate::{cgroup::CgroupRecord, idmap::IdMaps, intel_rdt::RdtRecord, seccomp::Filter};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A container's facts that are not in its specification: written down by who created it, read by [`crate::Container::open`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Init's number in the namespace of who created it.
    pub pid: i32,
    /// Init's start time in clock ticks after boot: with the number it identifies the process.
    pub start_time: u64,
    /// Its control group.
    pub cgroup: CgroupRecord,
    /// Its share of cache and memory bandwidth.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rdt: Option<RdtRecord>,
    /// Where it waits, or waited, to be started.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<PathBuf>,
    /// Its processes share their callers' session keyrings.
    #[serde(default)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) no_new_keyring: bool,
    /// The id maps of its user namespace, where it is not the runtime's.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) maps: Option<IdMaps>,
    /// Its filter, compiled.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<Filter>,
}
