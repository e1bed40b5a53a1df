//! The store as its users see it.

mod containers;
mod content;
mod images;
mod networks;
mod opening;

use crate::{ImageRecord, Lease, NetworkRecord, NewContainer, NewImage, Store, random_id};
use sampan_types::{
    ContainerConfig, ContainerType, Digest, ImageRef, NetworkMode, Platform, PortMapping, Resources, Userns,
};
use std::{io::Write, time::SystemTime};
use tempfile::TempDir;

/// A store of its own with one image.
struct Fixture {
    root: TempDir,
    store: Store,
    image: Digest,
}

impl Fixture {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let image = add_image(&store, "base", Some("base:latest")).digest;
        Self { root, store, image }
    }

    /// With a network of the given subnet, its gateway at the first address.
    fn with_network(subnet: &str) -> Self {
        let fixture = Self::new();
        fixture.store.insert_network(&network("bridge", subnet)).unwrap();
        fixture
    }

    fn container(&self, name: &str) -> NewContainer {
        NewContainer {
            id: random_id().unwrap(),
            name: name.parse().unwrap(),
            config: config(),
            image_digest: self.image.clone(),
            network: None,
            ip: None,
        }
    }

    fn on_bridge(&self, name: &str) -> NewContainer {
        NewContainer { network: Some("bridge".into()), ..self.container(name) }
    }

    fn with_port(&self, name: &str, port: &str) -> NewContainer {
        let mut new = self.on_bridge(name);
        new.config.ports = PortMapping::parse(port).unwrap();
        new
    }
}

fn network(name: &str, subnet: &str) -> NetworkRecord {
    let subnet: ipnet::Ipv4Net = subnet.parse().unwrap();
    NetworkRecord {
        name: name.into(),
        subnet,
        gateway: (u32::from(subnet.network()) + 1).into(),
        subnet6: Some("fd00:1::/64".parse().unwrap()),
        gateway6: Some("fd00:1::1".parse().unwrap()),
        record: serde_json::json!({ "bridge": "sampan0" }),
    }
}

fn config() -> ContainerConfig {
    ContainerConfig {
        container_type: ContainerType::App,
        image: "base".into(),
        entrypoint: None,
        command: vec!["true".into()],
        env: Vec::new(),
        working_dir: None,
        user: None,
        hostname: None,
        tty: false,
        stdin_open: false,
        volumes: Vec::new(),
        ports: Vec::new(),
        network: NetworkMode::Bridge,
        resources: Resources::default(),
        userns: Userns::Own,
        auto_remove: false,
        stop_signal: None,
        labels: Default::default(),
    }
}

/// Stores a blob.
fn blob(lease: &Lease, content: &[u8]) -> crate::Blob {
    let mut writer = lease.writer().unwrap();
    writer.write_all(content).unwrap();
    writer.finish(None).unwrap()
}

/// Stores an image whose layer is `layer`.
fn add_image(store: &Store, layer: &str, name: Option<&str>) -> ImageRecord {
    let lease = store.lease().unwrap();
    let layer = blob(&lease, layer.as_bytes());
    let config = blob(
        &lease,
        format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            layer.digest
        )
        .as_bytes(),
    );
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.digest, "size": config.size },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.digest, "size": layer.size }],
    });
    let manifest = blob(&lease, manifest.to_string().as_bytes());
    let image = NewImage {
        digest: manifest.digest,
        media_type: "application/vnd.oci.image.manifest.v1+json".into(),
        manifest_size: manifest.size,
        id: config.digest,
        created_at: SystemTime::now(),
        size: manifest.size + config.size + layer.size,
        platform: Platform::host(),
        config: serde_json::json!({ "cmd": ["sh"] }),
    };
    let name: Option<ImageRef> = name.map(|name| name.parse().unwrap());
    store.insert_image(&lease, &image, name.as_ref()).unwrap()
}
