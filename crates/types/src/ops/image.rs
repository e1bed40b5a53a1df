//! Verbs of images.

use crate::{Digest, Error, ErrorKind, ImageRef, Platform, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::SystemTime};

/// Where a root filesystem comes from when no registry is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TemplateName {
    /// The host's static busybox with all its applets.
    Busybox,
    /// Debian, from the mirror that this machine's own apt is configured for.
    Debian,
}

impl fmt::Display for TemplateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busybox => "busybox",
            Self::Debian => "debian",
        })
    }
}

impl FromStr for TemplateName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "busybox" => Ok(Self::Busybox),
            "debian" => Ok(Self::Debian),
            _ => Err(Error::new(ErrorKind::NotFound, format!("unknown template {text:?}"))
                .hint("--template busybox or --template debian")),
        }
    }
}

/// Makes an image from a template.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreateImage {
    /// Its name; an image that has it loses it.
    pub name: ImageRef,
    /// From what.
    pub template: TemplateName,
    /// Release of the distribution, where the template has releases: `bookworm`.
    pub release: Option<String>,
    /// Packages beyond the template's own.
    pub include: Vec<String>,
}

/// Lists images, the youngest first.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ListImages;

/// One image of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageSummary {
    /// Its names; empty where the last one was taken from it.
    pub names: Vec<ImageRef>,
    /// Digest of its manifest.
    pub digest: Digest,
    /// For which machine.
    pub platform: Platform,
    /// When it was made.
    pub created_at: SystemTime,
    /// Bytes of its blobs in the content store.
    pub size: u64,
}

/// Takes a name from an image; the last name, or the image's id, takes the image itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveImage {
    /// Reference, or digits of the digest.
    pub image: String,
    /// Also where several names point at it, or a stopped container was made from it.
    pub force: bool,
}

/// What [`RemoveImage`] did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemovedImage {
    /// Names taken away.
    pub untagged: Vec<ImageRef>,
    /// Manifests and layers deleted.
    pub deleted: Vec<Digest>,
}
