//! `internal clean-up`: what a shim becomes at its end, and what a client in the foreground does instead. Legal in every
//! state; does nothing where the container runs.

use crate::{Engine, lock};
use sampan_types::{
    ErrorKind, Result,
    ops::{CleanUpContainer, Execute},
};

impl Execute<CleanUpContainer> for Engine {
    fn execute(&self, operation: CleanUpContainer) -> Result<()> {
        let _lock = match lock::lock(&self.paths.container(&operation.id)) {
            // Somebody else tidied and removed it meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            lock => lock?,
        };
        match self.container(operation.id.as_str()) {
            Ok(record) => self.after_exit(&record),
            // Its removal was begun, and did not come to its end.
            Err(error) if error.kind() == ErrorKind::NotFound => self.forget(&operation.id),
            Err(error) => Err(error),
        }
    }
}
