//! The filesystems a container sees.

use super::Ingredients;
use sampan_types::{ContainerType, NetworkMode, VolumeSpec, spec::Mount};
use std::path::Path;

/// Files of /proc and /sys that tell about or change the host.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(super) fn masked_paths() -> Vec<std::path::PathBuf> {
    MASKED.iter().map(Into::into).collect()
}

/// A system container keeps /proc/sys: systemd-sysctl and the network scripts write what is theirs, the kernel refuses the rest.
pub(super) fn readonly_paths(container_type: ContainerType) -> Vec<std::path::PathBuf> {
    match container_type {
        ContainerType::App => READ_ONLY.iter().map(Into::into).collect(),
        ContainerType::System => vec!["/proc/sysrq-trigger".into()],
    }
}

pub(super) fn mounts(from: &Ingredients) -> Vec<Mount> {
    let config = &from.record.config;
    let system = config.container_type == ContainerType::System;
    let mut mounts = vec![
        filesystem("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        filesystem("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        filesystem(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        filesystem("/dev/shm", "tmpfs", &["nosuid", "nodev", "noexec", "mode=1777", "size=65536k"]),
        filesystem("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        sysfs(from),
        filesystem(
            "/sys/fs/cgroup",
            "cgroup",
            if system { &["nosuid", "noexec", "nodev", "rw"] } else { &["nosuid", "noexec", "nodev", "ro"] },
        ),
    ];
    if system {
        mounts.push(filesystem("/run", "tmpfs", &["nosuid", "nodev", "mode=755"]));
        mounts.extend(["/dev/fuse", "/dev/net/tun"].iter().filter(|path| Path::new(path).exists()).map(
            |path| Mount {
                destination: path.into(),
                fs_type: Some("bind".to_owned()),
                source: Some(path.into()),
                options: vec!["bind".to_owned(), "nosuid".to_owned(), "noexec".to_owned()],
                ..Mount::default()
            },
        ));
    } else {
        // An operating system manages these files itself; an app is shown the engine's.
        for file in ["hostname", "hosts", "resolv.conf"] {
            mounts.push(bind(
                &from.etc.join(file),
                &Path::new("/etc").join(file),
                false,
                from.id_base.is_some(),
            ));
        }
    }
    mounts.extend(config.volumes.iter().map(|volume: &VolumeSpec| {
        bind(&volume.source, &volume.target, volume.read_only, from.id_base.is_some())
    }));
    mounts
}

/// A new sysfs shows its mounter's network namespace and belongs to that one's user namespace: with the host's network
/// but own ids it cannot be mounted, and the host's is bound instead.
fn sysfs(from: &Ingredients) -> Mount {
    if from.record.config.network == NetworkMode::Host && from.id_base.is_some() {
        return Mount {
            destination: "/sys".into(),
            fs_type: Some("bind".to_owned()),
            source: Some("/sys".into()),
            options: ["rbind", "rro", "nosuid", "noexec", "nodev", "rslave"].map(str::to_owned).to_vec(),
            ..Mount::default()
        };
    }
    filesystem("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"])
}

fn filesystem(destination: &str, kind: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.into(),
        fs_type: Some(kind.to_owned()),
        source: Some(kind.into()),
        options: options.iter().map(ToString::to_string).collect(),
        ..Mount::default()
    }
}

/// A file or directory of the host; with own ids its owners appear inside as they are on disk.
fn bind(source: &Path, destination: &Path, read_only: bool, own_ids: bool) -> Mount {
    let mut options = vec!["rbind", "rprivate", if read_only { "rro" } else { "rw" }];
    if own_ids {
        options.push("ridmap");
    }
    Mount {
        destination: destination.into(),
        fs_type: Some("bind".to_owned()),
        source: Some(source.into()),
        options: options.into_iter().map(str::to_owned).collect(),
        ..Mount::default()
    }
}
