//! `index.json`: the images and their names, as other tools see them.

use crate::{ImageRecord, Store};
use rustix::fs::{FlockOperation, flock};
use sampan_types::{Digest, Error, ErrorKind, Platform, Result};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs::{self, File},
};

/// Under which a name of an image stands in an index (image-spec 1.1, annotations.md).
const REFERENCE_NAME: &str = "org.opencontainers.image.ref.name";

/// One entry of an index (image-spec 1.1, descriptor.md).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestDescriptor {
    // What kind of document it is.
    media_type: String,
    // What it is called.
    digest: Digest,
    // Its length in bytes.
    size: u64,
    // For which machine it is.
    platform: Platform,
    // Its name, where it has one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<ManifestDescriptor>,
}

impl Store {
    /// Writes `index.json` anew from the records. Under its lock the records are read and the file replaced, so that
    /// the last to write has seen every change.
    pub(crate) fn write_index(&self) -> Result<()> {
        let content = self.content();
        super::make_layout(&content)?;
        let path = content.join("index.json");
        let what = || format!("cannot write {}", path.display());
        let lock = File::create(content.join("index.lock")).map_err(|error| Error::io(what(), error))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| Error::io(what(), error.into()))?;
        let index = Index {
            schema_version: 2,
            media_type: "application/vnd.oci.image.index.v1+json",
            manifests: self.images()?.iter().flat_map(descriptors).collect(),
        };
        let text = serde_json::to_vec(&index)
            .map_err(|error| Error::new(ErrorKind::Internal, what()).because(error))?;
        // Not among the unfinished blobs, which another process may be clearing away.
        let unfinished = content.join("index.json.new");
        fs::write(&unfinished, text)
            .and_then(|()| fs::rename(&unfinished, &path))
            .map_err(|error| Error::io(what(), error))
    }
}

/// One entry a name; one without for an image that has lost its names, so that other tools do not collect it.
fn descriptors(image: &ImageRecord) -> Vec<ManifestDescriptor> {
    let entry = |annotations| ManifestDescriptor {
        media_type: image.media_type.clone(),
        digest: image.digest.clone(),
        size: image.manifest_size,
        platform: image.platform.clone(),
        annotations,
    };
    if image.references.is_empty() {
        return vec![entry(BTreeMap::new())];
    }
    let named =
        |name: &sampan_types::ImageRef| BTreeMap::from([(REFERENCE_NAME.to_owned(), name.familiar())]);
    image.references.iter().map(|name| entry(named(name))).collect()
}
