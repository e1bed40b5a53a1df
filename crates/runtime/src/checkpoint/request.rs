//! The options of a request, as far as checkpoints and restores have the same.

use super::{
    external::Pairs,
    options::Criu,
    program,
    service::Service,
    wire::Message,
    words::{LOCK_WITH_NFTABLES, option, pair},
};
use crate::namespaces::Namespaces;
use sampan_types::spec::{NamespaceKind, Spec};
use std::{os::unix::ffi::OsStrExt, path::Path};

/// Everything is logged: a failure cannot be tried again to find out more.
const LOG_LEVEL: i64 = 4;

/// The annotation that names a configuration file for CRIU.
const CONFIG: &str = "org.criu.config";

/// What callers of runc are used to having read where nothing is named.
const DEFAULT_CONFIG: &str = "/etc/criu/runc.conf";

/// `CLONE_NEWNET` (linux/sched.h).
const NETWORK: i64 = 0x4000_0000;

/// The options that both have.
pub(super) fn options(
    criu: &Criu,
    spec: &Spec,
    namespaces: &Namespaces,
    service: &Service,
    log: &str,
) -> Message {
    let mut options = Message::default();
    options
        .number(option::LOG_LEVEL, LOG_LEVEL)
        .text(option::LOG_FILE, log)
        .flag(option::NOTIFY_SCRIPTS, true)
        .flag(option::TCP_ESTABLISHED, criu.tcp_established)
        .flag(option::EXT_UNIX_SK, criu.ext_unix_sk)
        .flag(option::SHELL_JOB, criu.shell_job)
        .flag(option::FILE_LOCKS, criu.file_locks)
        .flag(option::AUTO_DEDUP, criu.auto_dedup)
        .flag(option::LAZY_PAGES, criu.lazy_pages)
        .flag(option::MANAGE_CGROUPS, true)
        .number(option::MANAGE_CGROUPS_MODE, criu.cgroups.number())
        .flag(option::ORPHAN_PTS_MASTER, true);
    for (field, number) in [option::IMAGES_DIR_FD, option::WORK_DIR_FD].into_iter().zip(service.directories())
    {
        options.number(field, (*number).into());
    }
    // What is in it is the affair of whoever made it: hooks, the engine. They make it again in an empty one.
    if criu.empty_network || (namespaces.has(NamespaceKind::Network) && is_own(spec, NamespaceKind::Network))
    {
        options.number(option::EMPTY_NS, NETWORK);
    }
    // Else it fails where iptables is not installed, whether or not there is anything to hold back.
    if !program::has_iptables() {
        options.number(option::NETWORK_LOCK, LOCK_WITH_NFTABLES);
    }
    if let Some(path) = configuration(spec) {
        options.text(option::CONFIG_FILE, path);
    }
    options
}

/// The container's own configuration of CRIU, in whose place an empty name means none.
fn configuration(spec: &Spec) -> Option<&str> {
    match spec.annotations.get(CONFIG) {
        Some(path) => Some(path.as_str()).filter(|path| !path.is_empty()),
        None => Some(DEFAULT_CONFIG).filter(|path| Path::new(path).exists()),
    }
}

/// Namespaces that are there before the container and stay after it, with CRIU's names for them.
pub(super) const OUTER: [(NamespaceKind, &str, &str); 2] =
    [(NamespaceKind::Network, "net", "extRootNetNS"), (NamespaceKind::Pid, "pid", "extRootPidNS")];

/// Whether a namespace of this kind is made for the container.
pub(super) fn is_own(spec: &Spec, kind: NamespaceKind) -> bool {
    let mut all = spec.linux.iter().flat_map(|linux| &linux.namespaces);
    all.any(|namespace| {
        namespace.kind == kind && namespace.path.as_ref().is_none_or(|path| path.as_os_str().is_empty())
    })
}

/// Adds mounts from outside.
pub(super) fn add_mounts(options: &mut Message, pairs: &Pairs) {
    for (first, second) in pairs {
        options.message(option::EXT_MNT, &pair(first.as_os_str().as_bytes(), second.as_os_str().as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_names_the_configuration() {
        let mut spec = Spec::default();
        spec.annotations.insert(CONFIG.to_owned(), "/x".to_owned());
        assert_eq!(configuration(&spec), Some("/x"));
        spec.annotations.insert(CONFIG.to_owned(), String::new());
        assert_eq!(configuration(&spec), None);
    }
}
