//! `start`: legal in every state; what runs already is not started again.

use crate::{
    Engine, lock,
    observe::{Observed, observe},
    start::Manner,
};
use sampan_types::{
    Result,
    ops::{AttachContainer, Execute, StartContainer, Task},
};

impl Execute<StartContainer> for Engine {
    fn execute(&self, operation: StartContainer) -> Result<Task> {
        let record = self.container(&operation.container)?;
        let _lock = lock::lock(&self.paths.container(&record.id))?;
        // Read again under the lock: it may have been removed or changed meanwhile.
        let record = self.container(record.id.as_str())?;
        if let Observed::Running(_) = observe(&self.paths, &record.id)? {
            let container = record.id.to_string();
            return self.execute(AttachContainer { container, stdin: operation.attach });
        }
        let manner = Manner {
            attach: operation.attach,
            console_size: operation.console_size,
            tidies: operation.attach,
        };
        self.start(&record, manner)
    }
}
