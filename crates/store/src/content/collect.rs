//! Removing what no recorded image leads to.

use super::lease::{clear_ingest, open_lock};
use crate::Store;
use rustix::fs::{FlockOperation, flock};
use sampan_types::{Digest, Error, ErrorKind, Result};
use serde::Deserialize;
use std::{collections::BTreeSet, fs, path::Path};

/// What a collection removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// The blobs.
    pub blobs: Vec<Digest>,
    /// Their bytes.
    pub bytes: u64,
}

/// What can lead from one document to others: a manifest's and an index's fields (image-spec 1.1).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Links {
    config: Option<Link>,
    layers: Vec<Link>,
    manifests: Vec<Link>,
    blobs: Vec<Link>,
}

#[derive(Debug, Deserialize)]
struct Link {
    digest: Digest,
}

impl Store {
    /// Removes every blob that no recorded image leads to, and what killed processes left unfinished. `None` where
    /// somebody is writing content right now: the garbage stays for the next time.
    ///
    /// # Errors
    /// Where a manifest cannot be read: nothing is removed then, since what it leads to is not known.
    pub fn collect(&self) -> Result<Option<Collected>> {
        let content = self.content();
        super::make_layout(&content)?;
        let lock = open_lock(&content)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(Error::io("cannot lock the content store", error.into())),
        }
        clear_ingest(&content)?;
        let needed = self.reachable()?;
        let mut collected = Collected::default();
        for algorithm in ["sha256", "sha512"] {
            let directory = content.join("blobs").join(algorithm);
            if directory.exists() {
                sweep(&directory, algorithm, &needed, &mut collected).map_err(|error| {
                    Error::io(format!("cannot remove unused content in {}", directory.display()), error)
                })?;
            }
        }
        Ok(Some(collected))
    }

    /// The digests that the recorded images lead to.
    fn reachable(&self) -> Result<BTreeSet<Digest>> {
        let mut needed = BTreeSet::new();
        let mut documents: Vec<Digest> = self.images()?.into_iter().map(|image| image.digest).collect();
        while let Some(digest) = documents.pop() {
            if !needed.insert(digest.clone()) {
                continue;
            }
            let document = self.read_blob(&digest)?;
            let links: Links = serde_json::from_slice(&document).map_err(|error| {
                Error::new(ErrorKind::Internal, format!("cannot read manifest {digest}")).because(error)
            })?;
            let leaves = links.config.into_iter().chain(links.layers).chain(links.blobs);
            needed.extend(leaves.map(|link| link.digest));
            // An index may list manifests for other machines that were never fetched.
            let manifests = links.manifests.into_iter().map(|link| link.digest);
            documents.extend(manifests.filter(|digest| self.blob_size(digest).is_some()));
        }
        Ok(needed)
    }
}

fn sweep(
    directory: &Path,
    algorithm: &str,
    needed: &BTreeSet<Digest>,
    collected: &mut Collected,
) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // What is not named by a digest is not ours.
        let Ok(digest) = format!("{algorithm}:{}", entry.file_name().to_string_lossy()).parse::<Digest>()
        else {
            continue;
        };
        if !needed.contains(&digest) {
            collected.bytes += entry.metadata()?.len();
            fs::remove_file(entry.path())?;
            collected.blobs.push(digest);
        }
    }
    Ok(())
}
