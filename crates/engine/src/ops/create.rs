//! `create`: legal whenever the name is free.

use crate::{
    Engine, events,
    lock::{self, ContainerLock, Pending, Verb},
    network, rights,
};
use sampan_store::{NewContainer, random_id};
use sampan_sys::failpoint;
use sampan_types::{
    ContainerName, ContainerRecord, Error, ErrorKind, Result,
    ops::{CreateContainer, CreatedContainer, Execute},
};

impl Execute<CreateContainer> for Engine {
    fn execute(&self, operation: CreateContainer) -> Result<CreatedContainer> {
        let (record, _lock) = self.create(operation)?;
        Ok(CreatedContainer { id: record.id, name: record.name })
    }
}

impl Engine {
    /// Creates a container; its lock is given along, so that nobody comes between this and a start.
    pub(crate) fn create(&self, operation: CreateContainer) -> Result<(ContainerRecord, ContainerLock)> {
        rights::require_root()?;
        let image = self.store.find_image(&operation.config.image).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Error::new(ErrorKind::NotFound, format!("no such image: {}", operation.config.image)).because("no image of this engine has this name or id").hint(
                    "sampan images shows those that are here; sampan image create NAME --template debian makes one",
                )
            }
            _ => error,
        })?;
        let parent = self.unpacked(&image)?;
        let network = match network::reserves(&operation.config.network) {
            true => Some(self.default_network()?.name),
            false => None,
        };
        let id = random_id()?;
        let pending = Pending::begin(&self.paths.run, &id, Verb::Create)?;
        let folder = self.paths.container(&id);
        std::fs::create_dir_all(&folder)
            .map_err(|source| Error::io(format!("cannot make folder {}", folder.display()), source))?;
        let lock = lock::lock(&folder)?;
        failpoint("engine.create.pending");
        let new = NewContainer {
            id: id.clone(),
            name: self.name_for(operation.name, &id)?,
            config: operation.config,
            image_digest: image.digest,
            network,
            ip: operation.ip,
        };
        let created = self.store.create_container(new).and_then(|record| {
            failpoint("engine.create.record");
            match self.snapshots.prepare(id.as_str(), Some(&parent)) {
                Ok(_) => Ok(record),
                Err(error) => {
                    self.store.delete_container(&id)?;
                    Err(error)
                }
            }
        });
        let record = match created {
            Ok(record) => record,
            Err(error) => {
                self.remove_folder(&id)?;
                pending.end()?;
                return Err(error);
            }
        };
        failpoint("engine.create.snapshot");
        pending.end()?;
        events::publish(&self.paths.events(), &events::container(&record, "create", &[]))?;
        Ok((record, lock))
    }

    /// The asked name, or one made up from the id: two words and, where those are taken, some digits.
    fn name_for(
        &self,
        asked: Option<ContainerName>,
        id: &sampan_types::ContainerId,
    ) -> Result<ContainerName> {
        const QUALITIES: [&str; 32] = [
            "able", "amber", "ample", "bold", "brave", "bright", "brisk", "calm", "clear", "clever", "cosy",
            "eager", "early", "fair", "fleet", "fresh", "gentle", "glad", "golden", "happy", "keen", "kind",
            "light", "lively", "merry", "neat", "noble", "quick", "quiet", "steady", "sunny", "swift",
        ];
        const BOATS: [&str; 32] = [
            "barge", "barque", "brig", "canoe", "caravel", "catboat", "clipper", "cog", "coracle", "cutter",
            "dhow", "dinghy", "dory", "felucca", "ferry", "galley", "gondola", "junk", "kayak", "ketch",
            "lugger", "pinnace", "pirogue", "punt", "raft", "schooner", "skiff", "sloop", "tender", "tjalk",
            "wherry", "yawl",
        ];
        if let Some(name) = asked {
            return Ok(name);
        }
        let number = |from: usize| usize::from_str_radix(&id.as_str()[from..from + 2], 16).unwrap_or(0) % 32;
        let name = format!("{}-{}", QUALITIES[number(0)], BOATS[number(2)]);
        match self.store.container(&name) {
            Err(error) if error.kind() == ErrorKind::NotFound => name.parse(),
            _ => format!("{name}-{}", &id.as_str()[4..10]).parse(),
        }
    }
}
