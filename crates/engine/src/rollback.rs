//! The undo stack of a multi-step change.

use sampan_types::{Error, Result};

/// Runs its steps backwards when dropped, unless disarmed.
#[derive(Default)]
pub(crate) struct Rollback<'a> {
    steps: Vec<Box<dyn FnOnce() -> Result<()> + 'a>>,
}

impl<'a> Rollback<'a> {
    /// Pushes the undo of what was just done.
    pub(crate) fn push(&mut self, undo: impl FnOnce() -> Result<()> + 'a) {
        self.steps.push(Box::new(undo));
    }

    /// The change is complete: nothing is undone.
    pub(crate) fn disarm(mut self) {
        self.steps.clear();
    }

    /// Undoes everything now; clean-up failures ride along with `error`.
    pub(crate) fn undo(mut self, error: Error) -> Error {
        self.unwind().iter().fold(error, Error::also)
    }

    fn unwind(&mut self) -> Vec<Error> {
        let mut failures = Vec::new();
        while let Some(step) = self.steps.pop() {
            failures.extend(step().err());
        }
        failures
    }
}

impl Drop for Rollback<'_> {
    fn drop(&mut self) {
        // Only reached with steps when a panic unwinds: nobody is left to tell about a failure.
        let _ = self.unwind();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_types::ErrorKind;
    use std::cell::RefCell;

    #[test]
    fn undoes_backwards_and_reports_what_failed() {
        let order = RefCell::new(Vec::new());
        let mut rollback = Rollback::default();
        rollback.push(|| {
            order.borrow_mut().push(1);
            Ok(())
        });
        rollback.push(|| {
            order.borrow_mut().push(2);
            Err(Error::new(ErrorKind::Internal, "cannot remove link"))
        });
        let error = rollback.undo(Error::new(ErrorKind::Conflict, "cannot start web").because("port taken"));
        assert_eq!(*order.borrow(), [2, 1]);
        assert_eq!(error.to_string(), "cannot start web");
        assert!(error.causes()[0].contains("port taken; while cleaning up: Internal: cannot remove link"));
    }

    #[test]
    fn a_disarmed_one_does_nothing() {
        let mut rollback = Rollback::default();
        rollback.push(|| panic!("must not run"));
        rollback.disarm();
    }
}
