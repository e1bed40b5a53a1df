//! `kill`: legal when running.

use crate::{Engine, TaskClient, events, observe};
use sampan_types::{
    Result,
    ops::{Execute, KillContainer},
    task::Request,
};

impl Execute<KillContainer> for Engine {
    fn execute(&self, operation: KillContainer) -> Result<()> {
        let record = self.container(&operation.container)?;
        observe::running(&self.paths, &record, "kill")?;
        let client = TaskClient::connect(&self.paths.bundle(&record.id))?;
        client.request(&Request::Signal { signal: operation.signal, exec: None }, &[])?;
        let signal = ("signal", operation.signal.to_string());
        events::publish(&self.paths.events(), &events::container(&record, "kill", &[signal]))
    }
}
