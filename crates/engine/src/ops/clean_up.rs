//! `internal clean-up`: what a shim becomes at its end, and what a client in the foreground does instead. Legal in every
//! state; does nothing where the container runs.

use crate::{Engine, lock};
use sampan_types::{
    ErrorKind, Result,
    ops::{CleanUpContainer, Execute},
};

impl Execute<CleanUpContainer> for Engine {
    fn execute(&self, operation: CleanUpContainer) -> Result<()> {
        let gone = |result: Result<()>| match result {
            // Somebody else tidied and removed it meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        };
        gone(lock::lock(&self.paths.container(&operation.id)).and_then(|_lock| {
            let record = self.container(operation.id.as_str())?;
            self.after_exit(&record)
        }))
    }
}
