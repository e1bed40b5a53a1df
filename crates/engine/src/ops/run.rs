//! `run`: `create` and `start` in one go.

use crate::{Engine, start::Manner};
use sampan_types::{
    ContainerRecord, Error, ExitRecord, Result,
    ops::{Execute, RunContainer, Task},
};
use std::time::SystemTime;

impl Execute<RunContainer> for Engine {
    fn execute(&self, operation: RunContainer) -> Result<Task> {
        let (record, _lock) = self.create(operation.create)?;
        let manner = Manner {
            attach: operation.attach,
            console_size: operation.console_size,
            tidies: operation.attach,
        };
        self.start(&record, manner).map_err(|error| self.after_failed_start(&record, error))
    }
}

impl Engine {
    /// As with Docker, a container that could not be started stays, with the reason; one that was to be removed goes.
    pub(crate) fn after_failed_start(&self, record: &ContainerRecord, error: Error) -> Error {
        let noted = if record.config.auto_remove {
            self.remove(record)
        } else {
            let reason =
                std::iter::once(error.to_string()).chain(error.causes()).collect::<Vec<_>>().join(": ");
            self.store.set_exit(
                &record.id,
                &ExitRecord {
                    code: error.kind().exit_code(),
                    oom_killed: false,
                    error: Some(reason),
                    finished_at: SystemTime::now(),
                    started_at: None,
                },
            )
        };
        match noted {
            Ok(()) => error,
            Err(second) => error.also(&second),
        }
    }
}
