//! Short ways to name the step that failed.

use sampan_types::{Error, ErrorKind, Result};
use std::io;

/// Turns the failure of a kernel call into an error that says what could not be done.
pub(crate) trait Cannot<T> {
    /// `what` completes the sentence "cannot …" and names the object.
    fn cannot(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Cannot<T> for std::result::Result<T, E> {
    fn cannot(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::io(format!("cannot {}", what()), error.into()))
    }
}

/// A specification that has no meaning.
pub(crate) fn invalid(what: impl Into<String>, why: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, what).because(why.into())
}
