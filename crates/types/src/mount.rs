//! Mounts: what storage hands to the runtime, and what the user types after `-v`.

use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, str::FromStr};

/// How a snapshot becomes a container's root filesystem: the one word that storage and runtime share.
///
/// The runtime makes these inside the container's own namespaces, id-mapped where the container has a user namespace;
/// on disk nothing is ever shifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Mount {
    /// A writable union of read-only layers and one upper directory.
    Overlay {
        /// Read-only layers, the topmost first. Absolute paths.
        lower: Vec<PathBuf>,
        /// The writable layer; `None` makes a read-only view.
        upper: Option<PathBuf>,
        /// Overlay's work directory, on the upper directory's filesystem; `Some` exactly when `upper` is.
        work: Option<PathBuf>,
    },
    /// A directory as it is.
    Bind {
        /// Absolute path of the directory.
        source: PathBuf,
        /// Whether writing is refused.
        read_only: bool,
    },
}

/// One `-v SRC:DST[:ro|rw]`: a directory or file of the host, shown in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub target: PathBuf,
    /// Whether the container may not write.
    pub read_only: bool,
}

impl FromStr for VolumeSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |why: &str| {
            Error::new(ErrorKind::InvalidInput, format!("invalid volume {text:?}"))
                .because(why.to_owned())
                .hint("-v /host/path:/container/path[:ro]")
        };
        let mut parts = text.split(':');
        let (Some(source), Some(target)) = (parts.next(), parts.next()) else {
            return Err(invalid("it needs a source and a target"));
        };
        let mut read_only = false;
        for option in parts.next().unwrap_or("rw").split(',') {
            match option {
                "ro" => read_only = true,
                "rw" | "z" | "Z" => {}
                other => return Err(invalid(&format!("unknown option {other:?}"))),
            }
        }
        if parts.next().is_some() {
            return Err(invalid("too many colons"));
        }
        if !source.starts_with('/') {
            return Err(invalid("the source must be an absolute path of the host"));
        }
        if !target.starts_with('/') || target.trim_matches('/').is_empty() {
            return Err(invalid("the target must be an absolute path other than /"));
        }
        Ok(Self { source: source.into(), target: target.into(), read_only })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes() {
        let volume: VolumeSpec = "/srv:/data:ro".parse().unwrap();
        assert_eq!((volume.source.as_path(), volume.read_only), ("/srv".as_ref(), true));
        for bad in ["", "/a", "a:/b", "/a:b", "/a:/", "/a:/b:rx", "/a:/b:ro:x"] {
            assert!(bad.parse::<VolumeSpec>().is_err(), "{bad}");
        }
    }
}
