//! Writing one blob.

use super::blob_path;
use sampan_types::{Digest, Error, ErrorKind, Result};
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// A blob that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What it is called.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// Writes and hashes one blob. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    content: PathBuf,
    path: PathBuf,
    file: File,
    hash: Sha256,
    size: u64,
    finished: bool,
}

impl BlobWriter {
    pub(super) fn start(content: &Path) -> Result<Self> {
        let what = || format!("cannot write content in {}", content.display());
        let name =
            getrandom::u64().map_err(|error| Error::new(ErrorKind::Internal, what()).because(error))?;
        let path = content.join("ingest").join(format!("{name:016x}"));
        let file = File::options()
            .create_new(true)
            .write(true)
            .open(&path)
            .map_err(|error| Error::io(what(), error))?;
        Ok(Self { content: content.to_owned(), path, file, hash: Sha256::new(), size: 0, finished: false })
    }

    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Puts the blob in its place, once it is safely on the disk. One that is already there is left as it is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where the content is not what `expected` says; nothing is kept then.
    pub fn finish(mut self, expected: Option<&Digest>) -> Result<Blob> {
        let digest = Digest::sha256(std::mem::take(&mut self.hash).finalize().into());
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            return Err(Error::new(ErrorKind::InvalidInput, format!("cannot store blob {expected}"))
                .because(format!("what came has the digest {digest}"))
                .hint("the source is damaged or has been tampered with"));
        }
        let target = blob_path(&self.content, &digest);
        let place = || -> std::io::Result<()> {
            self.file.set_permissions(Permissions::from_mode(0o444))?;
            self.file.sync_data()?;
            fs::rename(&self.path, &target)
        };
        place().map_err(|error| Error::io(format!("cannot store blob {digest}"), error))?;
        self.finished = true;
        Ok(Blob { digest, size: self.size })
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed now is removed by whoever is next alone in the store.
            let _ = fs::remove_file(&self.path);
        }
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Digest {
    Digest::sha256(Sha256::digest(bytes).into())
}
