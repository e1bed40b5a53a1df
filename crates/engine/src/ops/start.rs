//! `start`: legal when created or exited.

use crate::{Engine, lock, start::Manner};
use sampan_types::{
    Result,
    ops::{Execute, StartContainer, Task},
};

impl Execute<StartContainer> for Engine {
    fn execute(&self, operation: StartContainer) -> Result<Task> {
        let record = self.container(&operation.container)?;
        let _lock = lock::lock(&self.paths.container(&record.id))?;
        // Read again under the lock: it may have been removed or changed meanwhile.
        let record = self.container(record.id.as_str())?;
        let manner = Manner {
            attach: operation.attach,
            console_size: operation.console_size,
            tidies: operation.attach,
        };
        self.start(&record, manner)
    }
}
