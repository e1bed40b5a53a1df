//! Limits as version 1 files (kernel: admin-guide/cgroup-v1).

use super::files;
use sampan_types::{
    Result,
    spec::{MemoryLimits, Resources, ThrottleDevice},
};
use std::path::Path;

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    /// Whose file it is.
    pub(super) controller: &'static str,
    /// The file.
    pub(super) file: String,
    /// What is written.
    pub(super) value: String,
}

fn limit(controller: &'static str, file: impl Into<String>, value: impl ToString) -> Limit {
    Limit { controller, file: file.into(), value: value.to_string() }
}

/// All limits but memory's, in the order in which they are written.
pub(super) fn limits(resources: &Resources) -> Vec<Limit> {
    let mut limits = cpu(resources);
    if let Some(pids) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        let value = match pids {
            ..0 => "max".to_owned(),
            // A group without a single task would be one without a container.
            0 => "1".to_owned(),
            pids => pids.to_string(),
        };
        limits.push(limit("pids", "pids.max", value));
    }
    for page in &resources.hugepage_limits {
        limits.push(limit("hugetlb", format!("hugetlb.{}.limit_in_bytes", page.page_size), page.limit));
    }
    if let Some(network) = &resources.network {
        limits.extend(network.class_id.map(|class| limit("net_cls", "net_cls.classid", class)));
        for own in &network.priorities {
            limits.push(limit("net_prio", "net_prio.ifpriomap", format!("{} {}", own.name, own.priority)));
        }
    }
    limits.extend(block_io(resources));
    for (device, rdma) in &resources.rdma {
        limits.push(limit("rdma", "rdma.max", super::limits_v2::rdma_line(device, rdma)));
    }
    limits
}

fn cpu(resources: &Resources) -> Vec<Limit> {
    let Some(cpu) = &resources.cpu else { return Vec::new() };
    let some = [
        cpu.shares.filter(|shares| *shares != 0).map(|value| limit("cpu", "cpu.shares", value)),
        // The period first: a quota may be larger than the usual period.
        cpu.period.filter(|period| *period != 0).map(|value| limit("cpu", "cpu.cfs_period_us", value)),
        cpu.quota.filter(|quota| *quota != 0).map(|value| limit("cpu", "cpu.cfs_quota_us", value)),
        cpu.burst.map(|value| limit("cpu", "cpu.cfs_burst_us", value)),
        cpu.realtime_period.map(|value| limit("cpu", "cpu.rt_period_us", value)),
        cpu.realtime_runtime.map(|value| limit("cpu", "cpu.rt_runtime_us", value)),
        cpu.idle.map(|value| limit("cpu", "cpu.idle", value)),
        cpu.cpus.as_ref().filter(|list| !list.is_empty()).map(|value| limit("cpuset", "cpuset.cpus", value)),
        cpu.mems.as_ref().filter(|list| !list.is_empty()).map(|value| limit("cpuset", "cpuset.mems", value)),
    ];
    some.into_iter().flatten().collect()
}

fn block_io(resources: &Resources) -> Vec<Limit> {
    let Some(io) = &resources.block_io else { return Vec::new() };
    let mut limits: Vec<_> =
        io.weight.map(|value| limit("blkio", "blkio.weight", value)).into_iter().collect();
    limits.extend(io.leaf_weight.map(|value| limit("blkio", "blkio.leaf_weight", value)));
    for device in &io.weight_device {
        let line = |weight| format!("{}:{} {weight}", device.major, device.minor);
        limits.extend(device.weight.map(|weight| limit("blkio", "blkio.weight_device", line(weight))));
        limits.extend(
            device.leaf_weight.map(|weight| limit("blkio", "blkio.leaf_weight_device", line(weight))),
        );
    }
    let mut throttle = |file: &str, devices: &[ThrottleDevice]| {
        limits.extend(devices.iter().map(|device| {
            limit("blkio", file, format!("{}:{} {}", device.major, device.minor, device.rate))
        }));
    };
    throttle("blkio.throttle.read_bps_device", &io.throttle_read_bps_device);
    throttle("blkio.throttle.write_bps_device", &io.throttle_write_bps_device);
    throttle("blkio.throttle.read_iops_device", &io.throttle_read_iops_device);
    throttle("blkio.throttle.write_iops_device", &io.throttle_write_iops_device);
    limits
}

/// Memory's limits, whose order depends on what is set already: memory alone may never exceed memory and swap together.
pub(super) fn memory(directory: &Path, resources: &Resources) -> Result<()> {
    let Some(memory) = &resources.memory else { return Ok(()) };
    let present = match swap(memory) {
        Some(_) => files::number(directory, "memory.memsw.limit_in_bytes", None)?,
        None => 0,
    };
    for (file, value) in memory_limits(memory, present) {
        files::write(directory, file, &value)?;
    }
    Ok(())
}

/// Memory and swap together, as far as a value follows: no limit on memory means none on both.
fn swap(memory: &MemoryLimits) -> Option<i64> {
    match (memory.limit, memory.swap.filter(|swap| *swap != 0)) {
        (Some(-1), None) => Some(-1),
        (_, swap) => swap,
    }
}

/// `present` is the limit on memory and swap together that is in force.
fn memory_limits(memory: &MemoryLimits, present: u64) -> Vec<(&'static str, String)> {
    let limit =
        memory.limit.filter(|limit| *limit != 0).map(|value| ("memory.limit_in_bytes", value.to_string()));
    let both = swap(memory).map(|value| ("memory.memsw.limit_in_bytes", value.to_string()));
    let grows = swap(memory).is_some_and(|swap| swap < 0 || swap.unsigned_abs() > present);
    let mut writes: Vec<_> =
        if grows { [both, limit] } else { [limit, both] }.into_iter().flatten().collect();
    let rest = [
        memory.reservation.map(|value| ("memory.soft_limit_in_bytes", value.to_string())),
        memory.kernel_tcp.map(|value| ("memory.kmem.tcp.limit_in_bytes", value.to_string())),
        memory.swappiness.map(|value| ("memory.swappiness", value.to_string())),
        memory.disable_oom_killer.filter(|off| *off).map(|_| ("memory.oom_control", "1".to_owned())),
    ];
    writes.extend(rest.into_iter().flatten());
    writes
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_types::spec::{Cpu, Pids};

    #[test]
    fn cpu_and_pids() {
        let resources = Resources {
            cpu: Some(Cpu { quota: Some(50_000), period: Some(100_000), shares: Some(0), ..Cpu::default() }),
            pids: Some(Pids { limit: Some(0) }),
            ..Resources::default()
        };
        let writes: Vec<_> = limits(&resources).into_iter().map(|limit| (limit.file, limit.value)).collect();
        let expected = [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "50000"), ("pids.max", "1")];
        assert_eq!(writes, expected.map(|(file, value)| (file.to_owned(), value.to_owned())));
        let none = Resources { pids: Some(Pids { limit: Some(-1) }), ..Resources::default() };
        assert_eq!(limits(&none)[0].value, "max");
    }

    #[test]
    fn memory_and_swap_never_cross() {
        let memory = MemoryLimits { limit: Some(200), swap: Some(300), ..MemoryLimits::default() };
        let files =
            |present| memory_limits(&memory, present).into_iter().map(|(file, _)| file).collect::<Vec<_>>();
        assert_eq!(files(100), ["memory.memsw.limit_in_bytes", "memory.limit_in_bytes"]);
        assert_eq!(files(1000), ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]);
        let unlimited = MemoryLimits { limit: Some(-1), ..MemoryLimits::default() };
        let writes = memory_limits(&unlimited, 100);
        assert_eq!(writes[0], ("memory.memsw.limit_in_bytes", "-1".to_owned()));
    }
}
