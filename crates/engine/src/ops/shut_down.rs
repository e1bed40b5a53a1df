//! `shutdown`: legal always.

use crate::{Engine, lock};
use sampan_runtime::cgroup::Cgroup;
use sampan_types::{
    ErrorKind, Result,
    ops::{Execute, ShutDown},
};

impl Execute<ShutDown> for Engine {
    fn execute(&self, operation: ShutDown) -> Result<()> {
        for record in self.store.containers()? {
            let Ok(_lock) = lock::lock(&self.paths.container(&record.id)) else { continue };
            match self.stop(&record, operation.timeout_s, None) {
                // An auto-removed one is gone by now.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                result => result?,
            }
        }
        if let Some(network) = self.known_default_network()? {
            self.host.borrow_mut().remove_bridge(&network)?;
            sampan_names::unpublish_network(&self.paths.names(), &network.name)?;
            sampan_names::stop(&self.paths.names())?;
        }
        // The parent of all its containers' groups.
        Cgroup::open(&format!("/{}", self.paths.instance()))?.delete()
    }
}
