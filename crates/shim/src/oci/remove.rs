//! A container's end: its processes, its control group, its hooks, its state on disk.

use super::{
    call::Call,
    kept::Held,
    place::{CONFIG, Lock, Place, STATE},
    tell,
};
use sampan_runtime::{Container, cgroup::Cgroup};
use sampan_types::{Error, Result, spec::Spec};

/// Removes a container that is wanted no more.
pub(super) fn remove(call: &Call, container: Container, place: Place) -> Result<()> {
    // By then all the rest is done, and what a hook thinks of it changes nothing.
    if let Some(error) = container.delete()? {
        call.log.warning(&tell::sentence(&error));
    }
    place.remove()
}

/// Removes a container whose start has failed; gives back why.
pub(super) fn undo(call: &Call, container: Container, place: Place, error: Error) -> Error {
    // The first failure is the one to tell.
    let _ = remove(call, container, place);
    error
}

/// Removes what there is of a container, in whatever state: half made, half removed, running.
pub(super) fn force(call: &Call, id: &str) -> Result<()> {
    let place = match Place::open_any(&call.root, id) {
        Ok(place) => place,
        Err(error) if error.kind() == sampan_types::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let place = place.lock(Lock::Alone)?;
    if !place.has(STATE) {
        return sweep(place, id);
    }
    match Held::read(place, id) {
        Ok(held) => remove(call, held.container, held.place),
        // Its files are damaged: what its configuration still says of it is tidied.
        Err(_) => Place::open_any(&call.root, id).and_then(|place| sweep(place.lock(Lock::Alone)?, id)),
    }
}

/// Removes what a killed `create` or `delete` has left: a control group, and the directory.
fn sweep(place: Place, id: &str) -> Result<()> {
    let spec: Option<Spec> = place.read(CONFIG).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(spec) = spec {
        let path = spec.linux.and_then(|linux| linux.cgroups_path).filter(|path| !path.is_empty());
        let cgroup = Cgroup::open(path.as_deref().unwrap_or(id))?;
        cgroup.kill_all()?;
        cgroup.delete()?;
    }
    place.remove()
}
