//! What an image says about the containers made from it.

use oci_spec::image::ImageConfiguration;
use sampan_store::ImageRecord;
use sampan_types::{Digest, Error, ErrorKind, Platform, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The label that says of which type containers of an image are.
pub const TYPE_LABEL: &str = "sampan.type";
/// The value of [`TYPE_LABEL`] for an image with an operating system's own init.
pub const SYSTEM_TYPE: &str = "system";

/// The part of an image's configuration (image-spec 1.1, config.md) that containers are made from. It is kept in the
/// image's record too, so that making a container opens no blob.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// Program and arguments that always run.
    pub entrypoint: Vec<String>,
    /// Arguments of the entrypoint, or the program where there is none; replaced by what the user types.
    pub cmd: Vec<String>,
    /// Environment, as `KEY=VALUE`.
    pub env: Vec<String>,
    /// `user[:group]`, names or numbers; empty is root.
    pub user: String,
    /// Working directory; empty is `/`.
    pub working_dir: String,
    /// Ports the program listens on, as `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// Directories whose content should outlive the container.
    pub volumes: Vec<String>,
    /// The signal that ends the program, as `SIGTERM` or a number.
    pub stop_signal: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Digests of the uncompressed layers, the lowest first.
    pub diff_ids: Vec<Digest>,
}

impl ImageConfig {
    /// Reads a configuration document, and for which platform it is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where it is malformed.
    pub fn parse(document: &[u8]) -> Result<(Self, Platform)> {
        let what = "cannot read the image's configuration";
        let document: ImageConfiguration = serde_json::from_slice(document)
            .map_err(|error| Error::new(ErrorKind::InvalidInput, what).because(error))?;
        let diff_ids =
            document.rootfs().diff_ids().iter().map(|digest| digest.parse()).collect::<Result<_>>()?;
        let platform = Platform {
            os: document.os().to_string(),
            architecture: document.architecture().to_string(),
            variant: document.variant().clone(),
        };
        let Some(config) = document.config() else {
            return Ok((Self { diff_ids, ..Self::default() }, platform));
        };
        let config = Self {
            entrypoint: config.entrypoint().clone().unwrap_or_default(),
            cmd: config.cmd().clone().unwrap_or_default(),
            env: config.env().clone().unwrap_or_default(),
            user: config.user().clone().unwrap_or_default(),
            working_dir: config.working_dir().clone().unwrap_or_default(),
            exposed_ports: config.exposed_ports().clone().unwrap_or_default(),
            volumes: config.volumes().clone().unwrap_or_default(),
            stop_signal: config.stop_signal().clone(),
            labels: config.labels().clone().unwrap_or_default().into_iter().collect(),
            diff_ids,
        };
        Ok((config, platform))
    }

    /// The configuration kept in an image's record.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the record is damaged.
    pub fn of(image: &ImageRecord) -> Result<Self> {
        Self::deserialize(&image.config).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("the record of image {} is damaged", image.digest))
                .because(error)
        })
    }

    /// The form in which it is kept in an image's record.
    pub(crate) fn to_record(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self).map_err(|error| {
            Error::new(ErrorKind::Internal, "cannot record an image's configuration").because(error)
        })
    }

    /// Whether containers of this image are whole operating systems unless asked otherwise.
    pub fn is_system(&self) -> bool {
        self.labels.get(TYPE_LABEL).is_some_and(|kind| kind == SYSTEM_TYPE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_docker_writes() {
        let document = r#"{"architecture":"arm64","variant":"v8","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["nginx"],
            "Entrypoint":["/docker-entrypoint.sh"],"WorkingDir":"/srv","User":"www-data:82","ExposedPorts":{"80/tcp":{}},
            "Volumes":{"/data":{}},"Labels":{"sampan.type":"system"},"StopSignal":"SIGQUIT","Healthcheck":{"Test":["NONE"]}},
            "rootfs":{"type":"layers","diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]}}"#;
        let (config, platform) = ImageConfig::parse(document.as_bytes()).unwrap();
        assert_eq!(platform.to_string(), "linux/arm64/v8");
        assert_eq!(config.entrypoint, ["/docker-entrypoint.sh"]);
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("www-data:82", "/srv"));
        assert_eq!(
            (config.exposed_ports.as_slice(), config.volumes.as_slice()),
            (&["80/tcp".into()][..], &["/data".into()][..])
        );
        assert_eq!(config.stop_signal.as_deref(), Some("SIGQUIT"));
        assert!(config.is_system());
    }

    #[test]
    fn a_config_without_config() {
        let document = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
        assert_eq!(ImageConfig::parse(document.as_bytes()).unwrap().0, ImageConfig::default());
        assert_eq!(
            ImageConfig::parse(b"{}").unwrap_err().to_string(),
            "cannot read the image's configuration"
        );
    }
}
