//! The configuration that `spec` writes.

use sampan_types::spec::{
    Capabilities, DeviceRule, IdMapping, Linux, Mount, Namespace, NamespaceKind, Process, Resources, Rlimit,
    Root, Spec, VERSION,
};

const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A shell on a read-only root.
pub(super) fn new(rootless: bool) -> Spec {
    Spec {
        oci_version: VERSION.to_owned(),
        root: Some(Root { path: "rootfs".into(), readonly: true }),
        mounts: mounts(rootless),
        process: Some(process()),
        hostname: Some(crate::oci::global::NAME.to_owned()),
        linux: Some(linux(rootless)),
        ..Spec::default()
    }
}

fn process() -> Process {
    let set = || CAPABILITIES.map(str::to_owned).to_vec();
    Process {
        terminal: true,
        args: vec!["sh".into()],
        env: vec![
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
            "TERM=xterm".into(),
        ],
        cwd: "/".into(),
        capabilities: Some(Capabilities {
            bounding: set(),
            effective: set(),
            permitted: set(),
            ..Capabilities::default()
        }),
        rlimits: vec![Rlimit { kind: "RLIMIT_NOFILE".into(), hard: 1024, soft: 1024 }],
        no_new_privileges: true,
        ..Process::default()
    }
}

fn mounts(rootless: bool) -> Vec<Mount> {
    let mount = |destination: &str, kind: &str, source: &str, options: &str| Mount {
        destination: destination.into(),
        fs_type: Some(kind.into()),
        source: Some(source.into()),
        options: options.split_whitespace().map(str::to_owned).collect(),
        ..Mount::default()
    };
    // The group of terminals has no number in a namespace with one user.
    let pts = "nosuid noexec newinstance ptmxmode=0666 mode=0620";
    let pts = if rootless { pts.to_owned() } else { format!("{pts} gid=5") };
    let sys = if rootless {
        // sysfs belongs to a network namespace, and the caller's stays.
        mount("/sys", "none", "/sys", "rbind nosuid noexec nodev ro")
    } else {
        mount("/sys", "sysfs", "sysfs", "nosuid noexec nodev ro")
    };
    vec![
        mount("/proc", "proc", "proc", ""),
        mount("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
        mount("/dev/pts", "devpts", "devpts", &pts),
        mount("/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 size=65536k"),
        mount("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
        sys,
        mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid noexec nodev relatime ro"),
    ]
}

fn linux(rootless: bool) -> Linux {
    use NamespaceKind::{Cgroup, Ipc, Mount, Network, Pid, User, Uts};
    let mut kinds = vec![Pid, Ipc, Uts, Mount];
    kinds.insert(1, if rootless { User } else { Network });
    if rustix::fs::access("/sys/fs/cgroup/cgroup.controllers", rustix::fs::Access::EXISTS).is_ok() {
        // With version 2 the container may see its own part as the whole.
        kinds.push(Cgroup);
    }
    let single = |host_id| vec![IdMapping { container_id: 0, host_id, size: 1 }];
    let rules = vec![DeviceRule { allow: false, access: Some("rwm".into()), ..DeviceRule::default() }];
    let mut linux = Linux {
        namespaces: kinds.into_iter().map(|kind| Namespace { kind, path: None }).collect(),
        masked_paths: MASKED.map(Into::into).to_vec(),
        readonly_paths: READ_ONLY.map(Into::into).to_vec(),
        ..Linux::default()
    };
    if rootless {
        linux.uid_mappings = single(rustix::process::geteuid().as_raw());
        linux.gid_mappings = single(rustix::process::getegid().as_raw());
    } else {
        linux.resources = Some(Resources { devices: rules, ..Resources::default() });
    }
    linux
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_with_a_terminal_on_a_read_only_root() {
        let text = String::from_utf8(super::super::written(&new(false)).unwrap()).unwrap();
        for part in [
            "\t\"process\": {\n\t\t\"terminal\": true",
            "\"sh\"",
            "\"readonly\": true",
            "\"type\": \"network\"",
            "gid=5",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn an_ordinary_users_has_a_user_namespace_and_no_limits() {
        let spec = new(true);
        let linux = spec.linux.unwrap();
        assert!(linux.namespaces.iter().any(|namespace| namespace.kind == NamespaceKind::User));
        assert!(linux.namespaces.iter().all(|namespace| namespace.kind != NamespaceKind::Network));
        assert_eq!((linux.uid_mappings[0].size, linux.resources), (1, None));
        assert!(spec.mounts.iter().all(|mount| mount.options.iter().all(|option| option != "gid=5")));
    }
}
