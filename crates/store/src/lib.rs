//! Content by digest, records in SQLite.
//!
//! Everything that outlives a reboot, under one root directory:
//!
//! ```text
//! <root>/state.db         records: containers, networks, endpoints, published ports, images, tags
//! <root>/content/         an OCI image layout that other tools can read: see `content`
//! ```
//!
//! Many processes use a store at once. Every change of records is one immediate transaction; whoever writes content
//! holds a [`Lease`], and [`Store::collect`] removes content only while nobody holds one.

mod containers;
mod content;
mod db;
mod endpoints;
mod fault;
mod images;
mod lookup;
mod networks;
mod ports;
mod schema;

#[cfg(test)]
mod tests;

pub use containers::{NewContainer, random_id};
pub use content::{Blob, BlobWriter, Collected, Lease};
pub use images::{ImageRecord, NewImage};
pub use networks::NetworkRecord;

use sampan_types::Result;
use std::path::{Path, PathBuf};

/// The records and the content of one engine.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    db: db::Db,
}

impl Store {
    /// Opens the store under `root`, making it where it is not there, and bringing older records up to date.
    ///
    /// # Errors
    /// [`sampan_types::ErrorKind::Unsupported`] where a newer version of the engine has written the records;
    /// [`sampan_types::ErrorKind::PermissionDenied`] where `root` is not ours to write.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self { root: root.to_owned(), db: db::Db::open(root)? })
    }

    /// The directory the store lives in.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
