//! `ps`: legal always.

use crate::{
    Engine,
    observe::{self, Observed, observe},
    recipe,
};
use sampan_image::ImageConfig;
use sampan_types::{
    ContainerRecord, ContainerState, Digest, Result,
    ops::{ContainerSummary, Execute, ListContainers},
};
use std::collections::HashMap;

impl Execute<ListContainers> for Engine {
    fn execute(&self, operation: ListContainers) -> Result<Vec<ContainerSummary>> {
        let mut images = HashMap::new();
        let mut list = Vec::new();
        for record in self.store.containers()? {
            let observed = observe(&self.paths, &record.id)?;
            let state = observe::state(&record, &observed);
            if operation.all || state == ContainerState::Running {
                let args = self.args_of(&record, &mut images);
                list.push(summary(record, &observed, state, args));
            }
        }
        Ok(list)
    }
}

impl Engine {
    /// What a container runs; each image is looked up once for a whole list.
    fn args_of(&self, record: &ContainerRecord, images: &mut HashMap<Digest, ImageConfig>) -> Vec<String> {
        if !images.contains_key(&record.image_digest) {
            let found =
                self.store.image_by_digest(&record.image_digest).and_then(|image| ImageConfig::of(&image));
            images.insert(record.image_digest.clone(), found.unwrap_or_default());
        }
        recipe::args(&record.config, &images[&record.image_digest])
    }
}

fn summary(
    record: ContainerRecord,
    observed: &Observed,
    state: ContainerState,
    command: Vec<String>,
) -> ContainerSummary {
    let (exit, started_at) = match observed {
        Observed::Running(task) => (None, task.started_at),
        Observed::Dead(Some(task)) => (task.exit.clone(), None),
        _ => (record.last_exit, None),
    };
    ContainerSummary {
        id: record.id,
        name: record.name,
        container_type: record.config.container_type,
        image: record.config.image,
        command,
        state,
        exit_code: exit.as_ref().map(|exit| exit.code),
        created_at: record.created_at,
        since: started_at.or(exit.map(|exit| exit.finished_at)),
        endpoint: record.endpoint,
        ports: record.config.ports,
    }
}
