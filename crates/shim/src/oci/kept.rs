//! A container as it is kept on disk between commands.

use super::{
    call::Call,
    place::{CONFIG, Lock, Place, STATE},
};
use sampan_runtime::{Container, Record};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{Spec, State, Status},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// `state.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The bundle, absolute.
    pub(super) bundle: PathBuf,
    /// When it was created, RFC 3339.
    pub(super) created: String,
    /// What the runtime needs.
    pub(super) record: Record,
}

/// An open container with all that is known of it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) place: Place,
    pub(super) spec: Spec,
    pub(super) container: Container,
    pub(super) bundle: PathBuf,
    pub(super) created: String,
}

impl Held {
    /// Opens a container by its id.
    ///
    /// # Errors
    /// `container does not exist`; what reading its files gives.
    pub(super) fn open(call: &Call, id: &str, lock: Lock) -> Result<Self> {
        Self::read(call.place(id, lock)?, id)
    }

    /// The same, from its open place.
    pub(super) fn read(place: Place, id: &str) -> Result<Self> {
        let kept: Kept = parse(&place, STATE, &place.read(STATE)?)?;
        let spec: Spec = parse(&place, CONFIG, &place.read(CONFIG)?)?;
        let container = Container::open(id, &spec, &kept.bundle, kept.record)?;
        Ok(Self { place, spec, container, bundle: kept.bundle, created: kept.created })
    }

    /// What `state` and `list` show of it.
    pub(super) fn shown(&self, owner: String) -> Result<Shown> {
        let State { oci_version, id, status, pid, annotations, .. } = self.container.state()?;
        let rootfs = self.spec.root.as_ref().map(|root| self.bundle.join(&root.path)).unwrap_or_default();
        Ok(Shown {
            oci_version,
            id,
            pid: pid.unwrap_or(0),
            status,
            bundle: self.bundle.clone(),
            rootfs,
            created: self.created.clone(),
            annotations,
            owner,
        })
    }

    /// Refuses what only a container with live processes can do.
    pub(super) fn require_alive(&self) -> Result<Status> {
        match self.container.status()? {
            Status::Stopped => Err(Error::new(ErrorKind::Conflict, "container not running")),
            status => Ok(status),
        }
    }
}

/// A container as callers are shown it, in the order of keys that they know.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    oci_version: String,
    pub(super) id: String,
    /// 0 where init has ended.
    pub(super) pid: i32,
    pub(super) status: Status,
    pub(super) bundle: PathBuf,
    rootfs: PathBuf,
    pub(super) created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    pub(super) owner: String,
}

/// A status in callers' words.
pub(super) fn word(status: Status) -> &'static str {
    match status {
        Status::Creating => "creating",
        Status::Created => "created",
        Status::Running => "running",
        Status::Paused => "paused",
        Status::Stopped => "stopped",
    }
}

fn parse<T: for<'a> Deserialize<'a>>(place: &Place, name: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("cannot read {}", place.path(name).display()))
            .because(error)
            .hint("delete --force removes what is left of the container")
    })
}
