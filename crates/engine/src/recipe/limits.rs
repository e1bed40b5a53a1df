//! Limits and device rules.

use sampan_types::{
    ContainerConfig,
    spec::{Cpu, DeviceRule, MemoryLimits, Pids, Resources},
};

/// Microseconds of a scheduling period, the kernel's own default.
const CPU_PERIOD: u64 = 100_000;

/// Character devices that every container may use: null, zero, full, random, urandom, tty, console, ptmx and ptys.
const DEVICES: &[(i64, Option<i64>)] = &[
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

pub(super) fn resources(config: &ContainerConfig, own_ids: bool) -> Resources {
    let limits = &config.resources;
    Resources {
        // In a user namespace of its own a container can make no device nodes, and finds only those bound into it: device
        // rules would repeat that at the price of a dozen writes a start.
        devices: if own_ids { Vec::new() } else { device_rules() },
        memory: limits.memory.map(|memory| {
            let bytes = i64::try_from(memory.0).unwrap_or(i64::MAX);
            MemoryLimits { limit: Some(bytes), swap: Some(bytes), ..MemoryLimits::default() }
        }),
        cpu: limits.cpus.map(|cpus| Cpu {
            quota: Some(i64::from(cpus.0) * CPU_PERIOD as i64 / 1000),
            period: Some(CPU_PERIOD),
            ..Cpu::default()
        }),
        pids: limits.pids.map(|pids| Pids { limit: Some(i64::from(pids)) }),
        ..Resources::default()
    }
}

fn device_rules() -> Vec<DeviceRule> {
    let rule = |allow, major, minor, access: &str| DeviceRule {
        allow,
        kind: allow.then(|| "c".to_owned()),
        major,
        minor,
        access: Some(access.to_owned()),
    };
    let allowed = DEVICES.iter().map(|&(major, minor)| rule(true, Some(major), minor, "rwm"));
    // Nodes may be made of anything, used only of the list.
    [rule(false, None, None, "rwm"), rule(true, None, None, "m")].into_iter().chain(allowed).collect()
}
