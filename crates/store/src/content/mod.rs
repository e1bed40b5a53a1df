//! The content store: an OCI image layout (image-spec 1.1, image-layout.md) that other tools can read.
//!
//! ```text
//! <root>/content/oci-layout         {"imageLayoutVersion":"1.0.0"}
//! <root>/content/index.json         the images in the records, with their names; rewritten at each change of a name
//! <root>/content/blobs/sha256/…     content, named by its digest, complete whenever it is there
//! <root>/content/ingest/…           content being written, under a random name
//! <root>/content/lock               held shared by a Lease, exclusively by a collection
//! <root>/content/index.lock         held by whoever rewrites index.json
//! ```
//!
//! A blob is written under `ingest`, synced, checked against the digest that was expected, and renamed. A name in `blobs` is
//! therefore whole, after a power cut too. Whoever writes blobs holds a [`Lease`] until they are recorded as part of
//! an image; whatever no recorded image leads to is garbage when nobody holds a lease.

mod collect;
mod index;
mod lease;
mod writer;

pub use collect::Collected;
pub use lease::Lease;
pub use writer::{Blob, BlobWriter};

use crate::Store;
use sampan_types::{Digest, Error, ErrorKind, Result};
use std::{
    fs::{self, DirBuilder, File},
    io::Read,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// The longest document (manifest, index, configuration) that is read into memory; registries refuse manifests beyond
/// 4 MiB (distribution-spec 1.1, "Pushing Manifests").
const LONGEST_DOCUMENT: u64 = 8 << 20;

impl Store {
    /// Opens a blob for reading.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        File::open(self.blob_path(digest))
            .map_err(|error| Error::io(format!("cannot open blob {digest}"), error))
    }

    /// Reads a manifest, an index or a configuration into memory, and checks that it still has its digest.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Internal`] where it is damaged or beyond 8 MiB.
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let what = || format!("cannot read blob {digest}");
        let damaged = |why: &str| Error::new(ErrorKind::Internal, what()).because(why);
        let mut bytes = Vec::new();
        self.open_blob(digest)?
            .take(LONGEST_DOCUMENT + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io(what(), error))?;
        if bytes.len() as u64 > LONGEST_DOCUMENT {
            return Err(damaged("it is longer than 8 MiB, and cannot be a manifest or a configuration"));
        }
        if digest.algorithm() == "sha256" && writer::sha256(&bytes) != *digest {
            return Err(damaged("its content does not have this digest: the disk has damaged it")
                .hint("remove the image and make or pull it again"));
        }
        Ok(bytes)
    }

    /// Length of a blob in bytes; `None` where it is not there.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.blob_path(digest)).ok().map(|metadata| metadata.len())
    }

    /// Starts to write content. Nothing that is written under the lease is collected while it is held.
    ///
    /// # Errors
    /// Where the content directory cannot be made or locked.
    pub fn lease(&self) -> Result<Lease> {
        make_layout(&self.content())?;
        Lease::take(&self.content())
    }

    pub(crate) fn content(&self) -> PathBuf {
        self.root.join("content")
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        blob_path(&self.content(), digest)
    }
}

fn blob_path(content: &Path, digest: &Digest) -> PathBuf {
    content.join("blobs").join(digest.algorithm()).join(digest.hex())
}

/// Makes the directories and `oci-layout` where they are not there.
fn make_layout(content: &Path) -> Result<()> {
    let layout = content.join("oci-layout");
    if layout.exists() {
        return Ok(());
    }
    let make = || -> std::io::Result<()> {
        let mut directories = DirBuilder::new();
        directories.recursive(true).mode(0o700);
        directories.create(content.join("blobs/sha256"))?;
        directories.create(content.join("ingest"))?;
        // Written last: where it is, the rest is.
        let unfinished = content.join(format!("ingest/oci-layout.{}", std::process::id()));
        fs::write(&unfinished, "{\"imageLayoutVersion\":\"1.0.0\"}\n")?;
        fs::rename(unfinished, &layout)
    };
    make().map_err(|error| Error::io(format!("cannot make the content store {}", content.display()), error))
}
