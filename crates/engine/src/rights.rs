//! What this process itself may do.

use sampan_types::{Error, ErrorKind, Result};

/// Capabilities by number (linux/capability.h, up to Linux 6.18).
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Fails where containers cannot be made for want of rights.
pub(crate) fn require_root() -> Result<()> {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::PermissionDenied, format!("cannot make containers as user {}", user.as_raw()))
        .because("namespaces, mounts and networks of containers are made with root's rights")
        .hint("sudo sampan …"))
}

/// Capabilities that this process cannot give, since it has been denied them itself (an engine within a container): those
/// outside its bounding set.
pub(crate) fn missing_capabilities() -> Result<Vec<&'static str>> {
    let path = "/proc/self/status";
    let status =
        std::fs::read_to_string(path).map_err(|source| Error::io(format!("cannot read {path}"), source))?;
    Ok(missing(&status))
}

fn missing(status: &str) -> Vec<&'static str> {
    let bounding = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapBnd:")?.trim(), 16).ok())
        .unwrap_or(u64::MAX);
    CAPABILITIES
        .iter()
        .enumerate()
        .filter(|(number, _)| bounding & (1 << number) == 0)
        .map(|(_, name)| *name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_bounding_set_lacks() {
        assert_eq!(missing("CapEff:\t0\nCapBnd:\t000001fffeffffff\n"), ["CAP_SYS_RESOURCE"]);
        assert!(missing("CapBnd:\t000001ffffffffff\n").is_empty());
    }
}
