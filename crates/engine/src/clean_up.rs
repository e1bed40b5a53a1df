//! Tidying after a container that has ended, however it ended. Every step may be done twice.

use crate::{
    Engine, events, id_range,
    observe::{self, Observed, observe},
    start::remove_bundle,
};
use sampan_runtime::cgroup::Cgroup;
use sampan_sys::failpoint;
use sampan_types::{ContainerId, ContainerRecord, Error, ErrorKind, ExitRecord, Result, task::TaskState};
use std::{path::Path, time::SystemTime};

impl Engine {
    /// Tidies after the last run of a container that does not run: records the exit, and takes away its processes,
    /// control group, network and bundle. The caller holds the container's lock. Does nothing where there is no bundle.
    pub(crate) fn tidy(&self, record: &ContainerRecord) -> Result<()> {
        let state = match observe(&self.paths, &record.id)? {
            Observed::Absent | Observed::Running(_) => return Ok(()),
            Observed::Dead(state) => state,
        };
        if let Some(exit) = exit_of(state.as_ref()) {
            self.store.set_exit(&record.id, &exit)?;
            let code = ("exitCode", exit.code.to_string());
            events::publish(&self.paths.events(), &events::container(record, "die", &[code]))?;
        }
        failpoint("engine.tidy.recorded");
        self.detach(record)?;
        failpoint("engine.tidy.detached");
        self.remove_runtime(&record.id)
    }

    /// Takes away what a container has on the host at run time, but for its network, which only its record knows.
    pub(crate) fn remove_runtime(&self, id: &ContainerId) -> Result<()> {
        let bundle = self.paths.bundle(id);
        let state = observe::read_state(&bundle).ok().flatten();
        // A shim that waits for its client to tidy is done with its container; the entry below is all that it leaves.
        let cgroup = Cgroup::open(&self.paths.cgroup(id))?;
        cgroup.kill_all()?;
        cgroup.delete()?;
        match first_id(&bundle) {
            Some(first) => id_range::release(first, &bundle)?,
            // Killed before it was written down.
            None if bundle.exists() && !bundle.join("config.json").exists() => {
                id_range::release_any(&bundle)?
            }
            None => {}
        }
        failpoint("engine.tidy.ids");
        match &state {
            Some(state) => self.remove_shim_entry(state)?,
            // Killed before it wrote down who it is.
            None => self.remove_shim_entries(id)?,
        }
        remove_bundle(&bundle)
    }

    fn remove_shim_entry(&self, state: &TaskState) -> Result<()> {
        let name = format!("{}-{}-{}", state.shim.pid, state.shim.start, state.id);
        remove_entry(&self.paths.shims().join(name))
    }

    /// Removes every entry of a container, whichever shim it was.
    fn remove_shim_entries(&self, id: &ContainerId) -> Result<()> {
        let Ok(entries) = std::fs::read_dir(self.paths.shims()) else { return Ok(()) };
        entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(id.as_str()))
            .try_for_each(|entry| remove_entry(&entry.path()))
    }

    /// Removes a container that does not run, with all that is its own. The caller holds its lock.
    pub(crate) fn remove(&self, record: &ContainerRecord) -> Result<()> {
        self.tidy(record)?;
        self.remove_files(&record.id)?;
        self.store.delete_container(&record.id)?;
        failpoint("engine.remove.record");
        // Last, since the lock lies on it: whoever waits for the lock finds the container gone.
        self.remove_folder(&record.id)?;
        events::publish(&self.paths.events(), &events::container(record, "destroy", &[]))
    }

    /// Takes away what is left of a container that has no record (any more): a removal that was killed half way.
    pub(crate) fn forget(&self, id: &ContainerId) -> Result<()> {
        self.remove_runtime(id)?;
        self.remove_files(id)?;
        self.remove_folder(id)
    }

    /// Removes a container's snapshot.
    pub(crate) fn remove_files(&self, id: &ContainerId) -> Result<()> {
        match self.snapshots.remove(id.as_str()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Removes a container's persistent folder.
    pub(crate) fn remove_folder(&self, id: &ContainerId) -> Result<()> {
        let folder = self.paths.container(id);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format!("cannot remove {}", folder.display()), error))
            }
            _ => Ok(()),
        }
    }
}

/// How a run ended, from what its shim wrote last; `None` where it never ran.
fn exit_of(state: Option<&TaskState>) -> Option<ExitRecord> {
    let state = state?;
    if state.exit.is_some() {
        return state.exit.clone();
    }
    let started_at = Some(state.started_at?);
    // No exit was written: shim and container were killed together.
    Some(ExitRecord {
        code: 137,
        oom_killed: false,
        error: Some("its shim was killed".to_owned()),
        finished_at: SystemTime::now(),
        started_at,
    })
}

/// The first id of the range that a bundle's container has.
pub(crate) fn first_id(bundle: &Path) -> Option<u32> {
    let bytes = std::fs::read(bundle.join("config.json")).ok()?;
    let spec: sampan_types::spec::Spec = serde_json::from_slice(&bytes).ok()?;
    spec.linux?.uid_mappings.first().map(|mapping| mapping.host_id)
}

pub(crate) fn remove_entry(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("cannot remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}
