//! The one error that crosses crate borders.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What an operation of the engine gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Which class of failure this is. One table maps it to HTTP, gRPC and exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The caller asked for something that has no meaning: a malformed name, an impossible option.
    InvalidInput,
    /// The named object does not exist.
    NotFound,
    /// The name, address or port is taken.
    AlreadyExists,
    /// The object is in a state in which the verb is not legal, or in use.
    Conflict,
    /// The caller, or the engine itself, lacks a right.
    PermissionDenied,
    /// This kernel or host cannot do it.
    Unsupported,
    /// Something outside the engine did not answer: a registry, a tool, a shim.
    Unavailable,
    /// Disk, memory, addresses or ids have run out.
    Exhausted,
    /// The program to run is not in the container (exit code 127).
    CommandNotFound,
    /// The program to run is there but cannot be executed (exit code 126).
    NotExecutable,
    /// The work was given up on the caller's demand.
    Cancelled,
    /// A failure the engine did not foresee: a kernel call, a damaged record.
    Internal,
}

impl ErrorKind {
    /// The exit code of the command line for this kind, following `docker run`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::NotExecutable => 126,
            Self::CommandNotFound => 127,
            _ => 125,
        }
    }
}

/// A failure that a person can act on: what failed on which object, why, and what to do.
///
/// `Display` says only *what* failed. The reason is the chain of [`std::error::Error::source`]; the remedy is
/// [`Error::hint`], written where the knowledge is.
pub struct Error {
    kind: ErrorKind,
    what: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A failure of the given kind. `what` names the object: `cannot publish port 80/tcp`.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: None, source: None }
    }

    /// Adds the reason: another error, or a plain text such as `address in use, held by nginx (pid 812)`.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the remedy: what the person can do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The remedy, if one is known.
    pub fn remedy(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The reasons from the outermost inwards, each its own fact.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        causes
    }

    /// Lets a second failure, met while cleaning up after this one, ride along.
    #[must_use]
    pub fn also(self, second: &Self) -> Self {
        let causes = self.causes().join(": ");
        let text = format!("{causes}; while cleaning up: {second:?}");
        Self { source: Some(text.trim_start_matches("; ").into()), ..self }
    }

    /// A failed kernel call or file operation: the kind follows from the error number.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match source.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
            Io::StorageFull | Io::QuotaExceeded | Io::OutOfMemory => ErrorKind::Exhausted,
            Io::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Internal,
        };
        let full = matches!(source.kind(), Io::StorageFull | Io::QuotaExceeded);
        let error = Self::new(kind, what).because(source);
        match full {
            true => error.hint("free some space (sampan rmi, sampan rm), then try again"),
            false => error,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)?;
        self.causes().iter().try_for_each(|cause| write!(f, ": {cause}"))?;
        self.hint.iter().try_for_each(|hint| write!(f, " (try: {hint})"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_says_what_and_the_chain_says_why() {
        let inner = Error::io("cannot bind 0.0.0.0:80", std::io::Error::from_raw_os_error(13));
        let outer =
            Error::new(ErrorKind::Conflict, "cannot publish port 80/tcp").because(inner).hint("-p 8080:80");
        assert_eq!(outer.to_string(), "cannot publish port 80/tcp");
        assert_eq!(outer.causes(), ["cannot bind 0.0.0.0:80", "Permission denied (os error 13)"]);
        assert_eq!(outer.remedy(), Some("-p 8080:80"));
    }

    #[test]
    fn a_full_disk_is_exhausted_and_says_what_to_do() {
        let error = Error::io("cannot write layer", std::io::Error::from_raw_os_error(28));
        assert_eq!(error.kind(), ErrorKind::Exhausted);
        assert!(error.remedy().is_some_and(|hint| hint.contains("free some space")));
    }
}
