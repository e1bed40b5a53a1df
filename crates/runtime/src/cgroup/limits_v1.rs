//! Limits as version 1 files (kernel: admin-guide/cgroup-v1).

use super::limits::{self, Limit};
use crate::error::invalid;
use sampan_types::{
    Result,
    spec::{BlockIo, Cpu, MemoryLimits, Resources, ThrottleDevice},
};

/// What the kernel takes; beyond it would silently take the nearest.
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

// Sets of limits that bound each other.
const BANDWIDTH: u8 = 1;
const REALTIME: u8 = 2;
const MEMORY: u8 = 3;

/// All limits, in the order in which they are written. `bfq` says whether this host's weights of block devices are
/// those of the BFQ scheduler, whose files are named after it.
pub(super) fn limits(resources: &Resources, bfq: impl Fn() -> bool) -> Result<Vec<Limit>> {
    let mut limits = Vec::new();
    if let Some(memory) = &resources.memory {
        self::memory(memory, &mut limits)?;
    }
    if let Some(cpu) = &resources.cpu {
        self::cpu(cpu, &mut limits)?;
    }
    if let Some(pids) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        limits.push(Limit::new("pids", "pids.max", self::pids(pids)));
    }
    for page in &resources.hugepage_limits {
        let file = |suffix: &str| format!("hugetlb.{}.{suffix}", page.page_size);
        limits.push(Limit::new("hugetlb", file("limit_in_bytes"), page.limit));
        // Pages that are reserved and not yet touched (Linux 5.7).
        limits.push(Limit::new("hugetlb", file("rsvd.limit_in_bytes"), page.limit).optional());
    }
    if let Some(network) = &resources.network {
        let class = network.class_id.filter(|class| *class != 0);
        limits.extend(class.map(|class| Limit::new("net_cls", "net_cls.classid", class)));
        for own in &network.priorities {
            let line = format!("{} {}", own.name, own.priority);
            limits.push(Limit::new("net_prio", "net_prio.ifpriomap", line));
        }
    }
    if let Some(io) = &resources.block_io {
        block_io(io, bfq, &mut limits);
    }
    limits.extend(limits::rdma(resources)?);
    Ok(limits)
}

/// A group without a single task would be one without a container.
pub(super) fn pids(limit: i64) -> String {
    match limit {
        ..0 => "max".to_owned(),
        0 => "1".to_owned(),
        limit => limit.to_string(),
    }
}

fn cpu(cpu: &Cpu, limits: &mut Vec<Limit>) -> Result<()> {
    let shares = cpu.shares.filter(|shares| *shares != 0);
    if let Some(shares) = shares.filter(|shares| !SHARES.contains(shares)) {
        let (word, bound) =
            if shares < *SHARES.start() { ("minimum", SHARES.start()) } else { ("maximum", SHARES.end()) };
        return Err(invalid(
            format!("invalid cpu shares {shares}"),
            format!("the {word} allowed cpu-shares is {bound}"),
        ));
    }
    let list = |list: &Option<String>| list.clone().filter(|list| !list.is_empty());
    let runtime = cpu.realtime_runtime.filter(|value| *value != 0);
    let period = cpu.realtime_period.filter(|value| *value != 0);
    limits.extend(period.map(|value| Limit::new("cpu", "cpu.rt_period_us", value).in_set(REALTIME)));
    limits.extend(runtime.map(|value| Limit::new("cpu", "cpu.rt_runtime_us", value).in_set(REALTIME)));
    limits.extend(idle_and_weight(cpu.idle, shares.map(|shares| Limit::new("cpu", "cpu.shares", shares))));
    let (period, quota) = (cpu.period.filter(|value| *value != 0), cpu.quota.filter(|value| *value != 0));
    // The period first: a quota may be larger than the usual period. A burst is at most the quota.
    limits.extend(period.map(|value| Limit::new("cpu", "cpu.cfs_period_us", value).in_set(BANDWIDTH)));
    limits.extend(quota.map(|value| Limit::new("cpu", "cpu.cfs_quota_us", value).in_set(BANDWIDTH)));
    limits.extend(cpu.burst.map(|value| Limit::new("cpu", "cpu.cfs_burst_us", value).in_set(BANDWIDTH)));
    limits.extend(list(&cpu.cpus).map(|value| Limit::new("cpuset", "cpuset.cpus", value)));
    limits.extend(list(&cpu.mems).map(|value| Limit::new("cpuset", "cpuset.mems", value)));
    Ok(())
}

/// An idle group's weight is fixed: it is set before, or after the group has stopped being one.
pub(super) fn idle_and_weight(idle: Option<i64>, weight: Option<Limit>) -> impl Iterator<Item = Limit> {
    let idle = idle.map(|idle| Limit::new("cpu", "cpu.idle", idle));
    let order =
        if idle.as_ref().is_some_and(|idle| idle.value == "0") { [idle, weight] } else { [weight, idle] };
    order.into_iter().flatten()
}

fn block_io(io: &BlockIo, bfq: impl Fn() -> bool, limits: &mut Vec<Limit>) {
    let weights = io.weight.is_some() || io.weight_device.iter().any(|device| device.weight.is_some());
    let [weight, weight_device] = match weights && bfq() {
        true => ["blkio.bfq.weight", "blkio.bfq.weight_device"],
        false => ["blkio.weight", "blkio.weight_device"],
    };
    let given = |weight: Option<u16>| weight.filter(|weight| *weight != 0);
    limits.extend(given(io.weight).map(|value| Limit::new("blkio", weight, value)));
    limits.extend(given(io.leaf_weight).map(|value| Limit::new("blkio", "blkio.leaf_weight", value)));
    for device in &io.weight_device {
        let line = |weight| format!("{}:{} {weight}", device.major, device.minor);
        limits.extend(device.weight.map(|weight| Limit::new("blkio", weight_device, line(weight))));
        limits.extend(
            device.leaf_weight.map(|weight| Limit::new("blkio", "blkio.leaf_weight_device", line(weight))),
        );
    }
    let mut throttle = |file: &'static str, devices: &[ThrottleDevice]| {
        limits.extend(devices.iter().map(|device| {
            Limit::new("blkio", file, format!("{}:{} {}", device.major, device.minor, device.rate))
        }));
    };
    throttle("blkio.throttle.read_bps_device", &io.throttle_read_bps_device);
    throttle("blkio.throttle.write_bps_device", &io.throttle_write_bps_device);
    throttle("blkio.throttle.read_iops_device", &io.throttle_read_iops_device);
    throttle("blkio.throttle.write_iops_device", &io.throttle_write_iops_device);
}

/// Memory may never exceed memory and swap together, so the two are a set. Kernel memory has had no limit of its own since
/// Linux 5.16 and is left out, as runc and crun do.
fn memory(memory: &MemoryLimits, limits: &mut Vec<Limit>) -> Result<()> {
    let given = |value: Option<i64>| value.filter(|value| *value != 0);
    // The hierarchy is accounted as a whole always since Linux 5.11, and can be told so before only while the group is young.
    if memory.use_hierarchy == Some(true) {
        limits.push(Limit::new("memory", "memory.use_hierarchy", 1));
    }
    let (limit, both) = (given(memory.limit), given(memory.swap));
    limits.extend(limit.map(|value| Limit::new("memory", "memory.limit_in_bytes", value).in_set(MEMORY)));
    let swap = |value| Limit::new("memory", "memory.memsw.limit_in_bytes", value).in_set(MEMORY);
    match (limit, both) {
        (_, Some(both)) => limits.push(swap(both)),
        // No limit on memory is none on both.
        (Some(-1), None) => limits.push(swap(-1).optional()),
        _ => {}
    }
    limits.extend(
        given(memory.reservation).map(|value| Limit::new("memory", "memory.soft_limit_in_bytes", value)),
    );
    limits.extend(
        given(memory.kernel_tcp).map(|value| Limit::new("memory", "memory.kmem.tcp.limit_in_bytes", value)),
    );
    if let Some(value) = swappiness(memory)? {
        limits.push(Limit::new("memory", "memory.swappiness", value));
    }
    limits.extend(
        memory.disable_oom_killer.map(|off| Limit::new("memory", "memory.oom_control", u8::from(off))),
    );
    Ok(())
}

/// -1, as a number without sign, is what Docker says for "as it is".
fn swappiness(memory: &MemoryLimits) -> Result<Option<u64>> {
    match memory.swappiness {
        None | Some(u64::MAX) => Ok(None),
        Some(value @ 0..=100) => Ok(Some(value)),
        Some(value) => Err(invalid(
            format!("invalid memory swappiness {value}"),
            "valid memory swappiness range is 0-100",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_types::spec::Pids;

    fn written(resources: &Resources) -> Vec<(String, String)> {
        let limits = limits(resources, || true).unwrap();
        limits.into_iter().map(|limit| (limit.file.into_owned(), limit.value)).collect()
    }

    fn strings<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(file, value)| (file.to_owned(), value.to_owned())).to_vec()
    }

    #[test]
    fn cpu_and_pids() {
        let resources = Resources {
            cpu: Some(Cpu { quota: Some(50_000), period: Some(100_000), shares: Some(0), ..Cpu::default() }),
            pids: Some(Pids { limit: Some(0) }),
            ..Resources::default()
        };
        let expected = [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "50000"), ("pids.max", "1")];
        assert_eq!(written(&resources), strings(expected));
        let none = Resources { pids: Some(Pids { limit: Some(-1) }), ..Resources::default() };
        assert_eq!(written(&none), strings([("pids.max", "max")]));
    }

    #[test]
    fn an_idle_groups_weight_is_set_while_it_can_be() {
        let cpu = |idle| Resources {
            cpu: Some(Cpu { idle: Some(idle), shares: Some(512), ..Cpu::default() }),
            ..Resources::default()
        };
        assert_eq!(written(&cpu(1)), strings([("cpu.shares", "512"), ("cpu.idle", "1")]));
        assert_eq!(written(&cpu(0)), strings([("cpu.idle", "0"), ("cpu.shares", "512")]));
    }

    #[test]
    fn weights_of_block_devices_have_the_schedulers_name() {
        let io = BlockIo { weight: Some(100), ..BlockIo::default() };
        let resources = Resources { block_io: Some(io), ..Resources::default() };
        assert_eq!(written(&resources), strings([("blkio.bfq.weight", "100")]));
        assert_eq!(limits(&resources, || false).unwrap()[0].file, "blkio.weight");
    }

    #[test]
    fn unlimited_memory_is_unlimited_swap() {
        let memory = MemoryLimits { limit: Some(-1), ..MemoryLimits::default() };
        let resources = Resources { memory: Some(memory), ..Resources::default() };
        let expected = [("memory.limit_in_bytes", "-1"), ("memory.memsw.limit_in_bytes", "-1")];
        assert_eq!(written(&resources), strings(expected));
    }

    #[test]
    fn what_the_kernel_would_bend_is_refused() {
        let shares = |shares| Resources {
            cpu: Some(Cpu { shares: Some(shares), ..Cpu::default() }),
            ..Resources::default()
        };
        let causes = |resources: &Resources| limits(resources, || false).unwrap_err().causes();
        assert_eq!(causes(&shares(1)), ["the minimum allowed cpu-shares is 2"]);
        assert_eq!(causes(&shares(262_145)), ["the maximum allowed cpu-shares is 262144"]);
        let memory = MemoryLimits { swappiness: Some(101), ..MemoryLimits::default() };
        let resources = Resources { memory: Some(memory), ..Resources::default() };
        assert_eq!(causes(&resources), ["valid memory swappiness range is 0-100"]);
        let rdma =
            Resources { rdma: [("mlx".to_owned(), Default::default())].into(), ..Resources::default() };
        assert_eq!(limits(&rdma, || false).unwrap_err().to_string(), "invalid RDMA limit of \"mlx\"");
    }
}
