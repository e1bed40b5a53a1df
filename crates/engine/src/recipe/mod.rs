//! From a container's record and its image's configuration to an OCI runtime specification.
//!
//! Pure: everything that had to be looked up (users, ids, paths) comes in through [`Ingredients`]; golden files show
//! what comes out.

mod limits;
mod mounts;
mod process;
mod seccomp;

#[cfg(test)]
mod tests;

use crate::users::ResolvedUser;
use sampan_image::ImageConfig;
use sampan_types::{
    ContainerRecord, ContainerType, NetworkMode,
    spec::{IdMapping, Linux, Namespace, NamespaceKind, Root, Spec, VERSION},
};
use std::path::PathBuf;

#[cfg(test)]
use process::environment;
pub(crate) use process::{args, exec_process};

/// How many ids a container has of its own.
pub(crate) const ID_COUNT: u32 = 65_536;

/// Everything a specification is made from.
pub(crate) struct Ingredients<'a> {
    pub(crate) record: &'a ContainerRecord,
    pub(crate) image: &'a ImageConfig,
    pub(crate) user: &'a ResolvedUser,
    /// First host id of the container's range; `None` leaves it in the host's user namespace.
    pub(crate) id_base: Option<u32>,
    /// Control group, relative to each hierarchy's root: `/sampan/<id>`.
    pub(crate) cgroup: String,
    /// The container's `hostname`, `hosts` and `resolv.conf` on the host.
    pub(crate) etc: PathBuf,
    pub(crate) hostname: String,
    /// Where the image of a root filesystem is attached.
    pub(crate) root: PathBuf,
    /// Capabilities that the engine itself lacks, and so cannot give with the host's ids.
    pub(crate) missing_capabilities: &'a [&'static str],
    /// Rows and columns.
    pub(crate) console_size: Option<(u16, u16)>,
}

/// Cooks the specification.
pub(crate) fn specification(from: &Ingredients) -> Spec {
    let config = &from.record.config;
    let capabilities = process::capabilities(from);
    Spec {
        oci_version: VERSION.to_owned(),
        root: Some(Root { path: from.root.clone(), readonly: false }),
        hostname: (config.network != NetworkMode::Host || from.id_base.is_some())
            .then(|| from.hostname.clone()),
        mounts: mounts::mounts(from),
        process: Some(process::main_process(from, &capabilities)),
        linux: Some(Linux {
            uid_mappings: id_mappings(from),
            gid_mappings: id_mappings(from),
            cgroups_path: Some(from.cgroup.clone()),
            namespaces: namespaces(from),
            resources: Some(limits::resources(config, from.id_base.is_some())),
            seccomp: Some(match config.container_type {
                ContainerType::App => seccomp::app(&capabilities),
                ContainerType::System => seccomp::system(),
            }),
            sysctl: sysctls(from),
            masked_paths: mounts::masked_paths(),
            readonly_paths: mounts::readonly_paths(config.container_type),
            rootfs_propagation: None,
            ..Linux::default()
        }),
        ..Spec::default()
    }
}

fn id_mappings(from: &Ingredients) -> Vec<IdMapping> {
    from.id_base.map(|host_id| IdMapping { container_id: 0, host_id, size: ID_COUNT }).into_iter().collect()
}

fn namespaces(from: &Ingredients) -> Vec<Namespace> {
    let mut kinds = vec![
        NamespaceKind::Pid,
        NamespaceKind::Ipc,
        NamespaceKind::Uts,
        NamespaceKind::Mount,
        NamespaceKind::Cgroup,
    ];
    if from.record.config.network != NetworkMode::Host {
        kinds.push(NamespaceKind::Network);
    }
    if from.id_base.is_some() {
        kinds.push(NamespaceKind::User);
    }
    kinds.into_iter().map(|kind| Namespace { kind, path: None }).collect()
}

/// As Docker sets them: any user may bind low ports and ping within the container's own network namespace.
fn sysctls(from: &Ingredients) -> std::collections::BTreeMap<String, String> {
    let own_network = from.record.config.network != NetworkMode::Host;
    if !own_network || from.record.config.container_type == ContainerType::System {
        return Default::default();
    }
    // A range of groups must be mapped in the container's user namespace.
    let last_group = if from.id_base.is_some() { ID_COUNT - 1 } else { 2_147_483_647 };
    [
        ("net.ipv4.ip_unprivileged_port_start", "0".to_owned()),
        ("net.ipv4.ping_group_range", format!("0 {last_group}")),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}
