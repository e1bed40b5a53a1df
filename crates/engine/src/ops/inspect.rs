//! `inspect` and `logs`: legal in every state.

use crate::{
    Engine, clean_up,
    observe::{self, Observed, observe},
    recipe,
};
use sampan_image::ImageConfig;
use sampan_types::{
    Result,
    ops::{ContainerDetails, Execute, InspectContainer, OpenLogs},
};
use std::path::PathBuf;

impl Execute<InspectContainer> for Engine {
    fn execute(&self, operation: InspectContainer) -> Result<ContainerDetails> {
        let mut record = self.container(&operation.container)?;
        let observed = observe(&self.paths, &record.id)?;
        if let Observed::Dead(Some(state)) = &observed
            && state.exit.is_some()
        {
            // It has just ended, and is being tidied.
            record.last_exit.clone_from(&state.exit);
        }
        let image = ImageConfig::of(&self.store.image_by_digest(&record.image_digest)?)?;
        let network = record.endpoint.as_ref().map(|endpoint| self.network_of(endpoint)).transpose()?;
        let running = match &observed {
            Observed::Running(state) => Some(state),
            _ => None,
        };
        Ok(ContainerDetails {
            state: observe::state(&record, &observed),
            pid: running.map(|state| state.init.pid),
            started_at: running.and_then(|state| state.started_at),
            restarts: running.map_or(0, |state| state.restarts),
            args: recipe::args(&record.config, &image),
            id_base: running.and_then(|_| clean_up::first_id(&self.paths.bundle(&record.id))),
            gateway: network.as_ref().map(|network| network.ipv4_gateway.into()),
            prefix_length: network.as_ref().map(|network| network.ipv4.prefix_len()),
            log: self.paths.container(&record.id).join("log.json"),
            record,
        })
    }
}

impl Execute<OpenLogs> for Engine {
    fn execute(&self, operation: OpenLogs) -> Result<PathBuf> {
        let record = self.container(&operation.container)?;
        let log = self.paths.container(&record.id).join("log.json");
        if !log.exists() {
            // Nothing was written yet; an empty log is there to be followed.
            std::fs::File::create(&log).map_err(|source| {
                sampan_types::Error::io(format!("cannot make log {}", log.display()), source)
            })?;
        }
        Ok(log)
    }
}
