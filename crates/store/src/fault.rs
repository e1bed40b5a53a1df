//! Failures within a transaction, before it is known which verb they end.

use rusqlite::ErrorCode;
use sampan_types::{Error, ErrorKind};

/// Either a fact about the records that has its own words, or a failure of the database itself.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Says by itself what failed.
    Said(Error),
    /// The database failed.
    Sql(rusqlite::Error),
    /// A stored JSON column does not have the expected form.
    Record(serde_json::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Record(error)
    }
}

impl Fault {
    /// The error for a caller who wanted `what`: `cannot create container "web"`.
    pub(crate) fn explain(self, what: &str) -> Error {
        match self {
            Self::Said(error) => error,
            Self::Record(source) => Error::new(ErrorKind::Internal, what)
                .because(Error::new(ErrorKind::Internal, "a record in state.db is damaged").because(source)),
            Self::Sql(source) => {
                let code = source.sqlite_error_code();
                let error = Error::new(code.map_or(ErrorKind::Internal, kind), what).because(source);
                match code {
                    Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                        error.hint("another process has held the records for 5 s; try again")
                    }
                    Some(ErrorCode::DiskFull) => error.hint("free some space, then try again"),
                    _ => error,
                }
            }
        }
    }
}

fn kind(code: ErrorCode) -> ErrorKind {
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => ErrorKind::Unavailable,
        ErrorCode::DiskFull => ErrorKind::Exhausted,
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => {
            ErrorKind::PermissionDenied
        }
        _ => ErrorKind::Internal,
    }
}
