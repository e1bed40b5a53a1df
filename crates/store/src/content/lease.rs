//! The right to write content.

use super::BlobWriter;
use rustix::fs::{FlockOperation, flock};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

/// Held while content is written and not yet part of a recorded image. Dropped, or its process killed, it is given back.
#[derive(Debug)]
pub struct Lease {
    content: PathBuf,
    /// Open with a shared `flock`, which the kernel gives back with the last descriptor.
    _lock: File,
}

impl Lease {
    pub(super) fn take(content: &Path) -> Result<Self> {
        let what = || format!("cannot lock the content store {}", content.display());
        let lock = open_lock(content)?;
        // Alone here? Then whatever lies in the ingest directory is of processes that were killed.
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => clear_ingest(content)?,
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(Error::io(what(), error.into())),
        }
        flock(&lock, FlockOperation::LockShared).map_err(|error| Error::io(what(), error.into()))?;
        Ok(Self { content: content.to_owned(), _lock: lock })
    }

    /// Starts a blob.
    ///
    /// # Errors
    /// Where no file can be made in the ingest directory.
    pub fn writer(&self) -> Result<BlobWriter> {
        BlobWriter::start(&self.content)
    }

    /// Makes the names of all blobs written so far survive a power cut.
    pub(crate) fn sync(&self) -> Result<()> {
        let blobs = self.content.join("blobs/sha256");
        File::open(&blobs)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| Error::io(format!("cannot sync {}", blobs.display()), error))
    }
}

pub(super) fn open_lock(content: &Path) -> Result<File> {
    let path = content.join("lock");
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| Error::io(format!("cannot open {}", path.display()), error))
}

/// Removes unfinished blobs. The caller holds the lock exclusively.
pub(super) fn clear_ingest(content: &Path) -> Result<()> {
    let ingest = content.join("ingest");
    let clear = || -> std::io::Result<()> {
        for entry in fs::read_dir(&ingest)? {
            match fs::remove_file(entry?.path()) {
                // Moved to its place by the one process that makes a new layout without a lease.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    };
    clear().map_err(|error| {
        Error::new(ErrorKind::Internal, format!("cannot clear unfinished content in {}", ingest.display()))
            .because(error)
    })
}
