//! `rm`: legal when created or exited; with force in every state.

use crate::{
    Engine,
    lock::{self, Pending, Verb},
    observe::{Observed, observe},
};
use sampan_sys::failpoint;
use sampan_types::{
    Error, ErrorKind, Result,
    ops::{Execute, RemoveContainer},
};

const SIGKILL: i32 = 9;

impl Execute<RemoveContainer> for Engine {
    fn execute(&self, operation: RemoveContainer) -> Result<()> {
        let record = self.container(&operation.container)?;
        let _lock = lock::lock(&self.paths.container(&record.id))?;
        if let Observed::Running(_) = observe(&self.paths, &record.id)? {
            if !operation.force {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("cannot remove container {}", record.name),
                )
                .because("it is running")
                .hint(format!("sampan stop {0}, or sampan rm -f {0}", record.name)));
            }
            self.stop(&record, Some(0), Some(SIGKILL))?;
        }
        let pending = Pending::begin(&self.paths.run, &record.id, Verb::Remove)?;
        failpoint("engine.remove.pending");
        self.remove(&record)?;
        pending.end()
    }
}
