//! What is seen of a container's running tree.

use crate::Paths;
use sampan_types::{
    ContainerId, ContainerRecord, ContainerState, Error, ErrorKind, Result,
    task::{ProcessId, TaskState, TaskStatus},
};
use std::path::Path;

/// A container's run-time side.
pub(crate) enum Observed {
    /// There is no bundle: it does not run.
    Absent,
    /// Shim and init live.
    Running(TaskState),
    /// There is a bundle, but nothing runs (any more): it wants tidying.
    Dead(Option<TaskState>),
}

/// Looks at a container's bundle and its processes.
pub(crate) fn observe(paths: &Paths, id: &ContainerId) -> Result<Observed> {
    let bundle = paths.bundle(id);
    let Some(state) = read_state(&bundle)? else {
        return Ok(if bundle.exists() { Observed::Dead(None) } else { Observed::Absent });
    };
    let runs = state.status == TaskStatus::Running && is_alive(&state.shim) && is_alive(&state.init);
    Ok(if runs { Observed::Running(state) } else { Observed::Dead(Some(state)) })
}

/// The state as a list shows it.
pub(crate) fn state(record: &ContainerRecord, observed: &Observed) -> ContainerState {
    match (observed, &record.last_exit) {
        (Observed::Running(_), _) => ContainerState::Running,
        (Observed::Dead(Some(state)), _) if state.started_at.is_some() => ContainerState::Exited,
        (_, Some(exit)) if exit.started_at.is_some() => ContainerState::Exited,
        _ => ContainerState::Created,
    }
}

/// A running container's task, or [`ErrorKind::Conflict`].
pub(crate) fn running(paths: &Paths, record: &ContainerRecord, verb: &str) -> Result<TaskState> {
    match observe(paths, &record.id)? {
        Observed::Running(state) => Ok(state),
        _ => Err(Error::new(ErrorKind::Conflict, format!("cannot {verb} container {}", record.name))
            .because("it is not running")
            .hint(format!("sampan start {}", record.name))),
    }
}

/// The state file of a bundle; `None` where there is none (yet).
pub(crate) fn read_state(bundle: &Path) -> Result<Option<TaskState>> {
    let path = bundle.join("state.json");
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("cannot understand {}", path.display())).because(error)
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("cannot read {}", path.display()), error)),
    }
}

/// Whether exactly this process lives, not a later one with its number, and not a zombie's remains.
pub(crate) fn is_alive(process: &ProcessId) -> bool {
    sampan_sys::process::is_running(process.pid, process.start)
}
