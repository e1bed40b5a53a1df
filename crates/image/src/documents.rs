//! Writing manifests and configurations, and reading the first.

use crate::{config::ImageConfig, template::TemplateConfig};
use sampan_store::{Blob, Lease};
use sampan_types::{Digest, Error, ErrorKind, Platform, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::Write;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const GZIP_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What is read of a manifest; Docker's schema 2 has the same fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) layers: Vec<Descriptor>,
}

/// Digest and length of a blob that a manifest leads to.
#[derive(Debug, Deserialize)]
pub(crate) struct Descriptor {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// Reads a manifest.
pub(crate) fn parse_manifest(digest: &Digest, document: &[u8]) -> Result<Manifest> {
    serde_json::from_slice(document).map_err(|error| {
        Error::new(ErrorKind::InvalidInput, format!("cannot read manifest {digest}")).because(error)
    })
}

/// The configuration document of an image with one layer.
pub(crate) fn config_document(
    config: &TemplateConfig,
    platform: &Platform,
    created: &str,
    diff_id: &Digest,
) -> Value {
    json!({
        "created": created,
        "architecture": platform.architecture,
        "os": platform.os,
        "config": { "Env": config.env, "Cmd": config.cmd, "WorkingDir": "/", "Labels": config.labels },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created": created, "created_by": config.created_by }],
    })
}

/// The manifest of an image with one layer.
pub(crate) fn manifest_document(config: &Blob, layer: &Blob) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": config.digest, "size": config.size },
        "layers": [{ "mediaType": GZIP_LAYER, "digest": layer.digest, "size": layer.size }],
    })
}

/// Stores a document as a blob; its bytes come back too.
pub(crate) fn store(lease: &Lease, document: &impl Serialize) -> Result<(Blob, Vec<u8>)> {
    let bytes = serde_json::to_vec(document).map_err(|error| {
        Error::new(ErrorKind::Internal, "cannot write an image's document").because(error)
    })?;
    let mut writer = lease.writer()?;
    writer.write_all(&bytes).map_err(|error| Error::io("cannot write an image's document", error))?;
    Ok((writer.finish(None)?, bytes))
}

/// The configuration that a document just written holds, as containers see it.
pub(crate) fn read_back(document: &[u8]) -> Result<ImageConfig> {
    ImageConfig::parse(document).map(|(config, _)| config)
}
