//! Limits as version 2 files (kernel: admin-guide/cgroup-v2.rst).

use crate::error::invalid;
use sampan_types::{
    Result,
    spec::{MemoryLimits, Rdma, Resources, ThrottleDevice},
};

/// One write: the file, whose part before the first dot names its controller, and what is written.
pub(super) type Limit = (String, String);

fn limit(file: &str, value: impl ToString) -> Limit {
    (file.to_owned(), value.to_string())
}

/// All limits, in the order in which they are written; those by file name last, so that they win.
pub(super) fn limits(resources: &Resources) -> Result<Vec<Limit>> {
    let mut limits = cpu(resources);
    if let Some(memory) = &resources.memory {
        limits.extend(self::memory(memory)?);
    }
    if let Some(pids) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        limits.push(limit("pids.max", if pids == 0 { "1".to_owned() } else { or_max(pids) }));
    }
    for page in &resources.hugepage_limits {
        limits.push(limit(&format!("hugetlb.{}.max", page.page_size), page.limit));
    }
    limits.extend(block_io(resources));
    limits.extend(resources.rdma.iter().map(|(device, rdma)| limit("rdma.max", rdma_line(device, rdma))));
    for (file, value) in &resources.unified {
        if file.contains('/') {
            return Err(invalid(format!("invalid unified resource {file:?}"), "a file name has no slash"));
        }
        limits.push(limit(file, value));
    }
    Ok(limits)
}

fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

fn cpu(resources: &Resources) -> Vec<Limit> {
    let Some(cpu) = &resources.cpu else { return Vec::new() };
    let quota = cpu.quota.filter(|quota| *quota != 0);
    let period = cpu.period.filter(|period| *period != 0);
    let bandwidth = match (quota, period) {
        (None, None) => None,
        (quota, period) => {
            Some(format!("{} {}", quota.map_or("max".to_owned(), or_max), period.unwrap_or(100_000)))
        }
    };
    let some = [
        cpu.idle.map(|value| limit("cpu.idle", value)),
        cpu.shares.filter(|shares| *shares != 0).map(|shares| limit("cpu.weight", weight(shares))),
        bandwidth.map(|value| limit("cpu.max", value)),
        cpu.burst.map(|value| limit("cpu.max.burst", value)),
        cpu.cpus.as_ref().filter(|list| !list.is_empty()).map(|value| limit("cpuset.cpus", value)),
        cpu.mems.as_ref().filter(|list| !list.is_empty()).map(|value| limit("cpuset.mems", value)),
    ];
    some.into_iter().flatten().collect()
}

/// Version 1 shares (2 to 262144, usual 1024) as version 2 weight (1 to 10000, usual 100): a parabola in the logarithm
/// through (2, 1), (1024, 100) and (262144, 10000), as runc and crun have it since 2025.
fn weight(shares: u64) -> u64 {
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let log = (shares as f64).log2();
            10f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil() as u64
        }
    }
}

fn memory(memory: &MemoryLimits) -> Result<Vec<Limit>> {
    let mut limits = Vec::new();
    if let Some(both) = memory.swap.filter(|swap| *swap != 0) {
        // Version 2 limits swap alone.
        let swap = match (both, memory.limit.unwrap_or_default()) {
            (..0, _) => -1,
            (both, limit) if limit > 0 && both >= limit => both - limit,
            (both, limit) => {
                return Err(invalid(
                    format!("invalid memory+swap limit {both}"),
                    format!("it must not be less than the memory limit, {limit}"),
                ));
            }
        };
        limits.push(limit("memory.swap.max", or_max(swap)));
    } else if memory.limit == Some(-1) {
        limits.push(limit("memory.swap.max", "max"));
    }
    limits.extend(memory.limit.filter(|limit| *limit != 0).map(|value| limit("memory.max", or_max(value))));
    limits.extend(memory.reservation.filter(|low| *low != 0).map(|value| limit("memory.low", or_max(value))));
    Ok(limits)
}

fn block_io(resources: &Resources) -> Vec<Limit> {
    let Some(io) = &resources.block_io else { return Vec::new() };
    let mut limits = Vec::new();
    // 10 to 1000 becomes 1 to 10000.
    let scaled = |weight: u16| 1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990;
    limits.extend(
        io.weight
            .filter(|weight| *weight != 0)
            .map(|weight| limit("io.weight", format!("default {}", scaled(weight)))),
    );
    for device in &io.weight_device {
        limits.extend(device.weight.map(|weight| {
            limit("io.weight", format!("{}:{} {}", device.major, device.minor, scaled(weight)))
        }));
    }
    let mut throttle = |key: &str, devices: &[ThrottleDevice]| {
        limits.extend(devices.iter().map(|device| {
            limit("io.max", format!("{}:{} {key}={}", device.major, device.minor, device.rate))
        }));
    };
    throttle("rbps", &io.throttle_read_bps_device);
    throttle("wbps", &io.throttle_write_bps_device);
    throttle("riops", &io.throttle_read_iops_device);
    throttle("wiops", &io.throttle_write_iops_device);
    limits
}

pub(super) fn rdma_line(device: &str, rdma: &Rdma) -> String {
    let part = |key: &str, value: Option<u32>| {
        format!("{key}={}", value.map_or("max".to_owned(), |value| value.to_string()))
    };
    format!("{device} {} {}", part("hca_handle", rdma.hca_handles), part("hca_object", rdma.hca_objects))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_types::spec::{Cpu, Pids};

    #[test]
    fn version_1_words_are_translated() {
        let resources = Resources {
            cpu: Some(Cpu { quota: Some(-1), shares: Some(1024), ..Cpu::default() }),
            memory: Some(MemoryLimits { limit: Some(100), swap: Some(150), ..MemoryLimits::default() }),
            pids: Some(Pids { limit: Some(-1) }),
            unified: [("memory.high".to_owned(), "90".to_owned())].into(),
            ..Resources::default()
        };
        let expected = [
            ("cpu.weight", "100"),
            ("cpu.max", "max 100000"),
            ("memory.swap.max", "50"),
            ("memory.max", "100"),
            ("pids.max", "max"),
            ("memory.high", "90"),
        ];
        assert_eq!(limits(&resources).unwrap(), expected.map(|(file, value)| limit(file, value)));
    }

    #[test]
    fn weights_meet_at_the_ends_and_the_usual_value() {
        assert_eq!([0, 2, 1024, 262_144, u64::MAX].map(weight), [1, 1, 100, 10_000, 10_000]);
        assert!(weight(512) < 100 && weight(2048) > 100);
    }

    #[test]
    fn impossible_limits_are_refused() {
        let less = MemoryLimits { limit: Some(100), swap: Some(50), ..MemoryLimits::default() };
        assert_eq!(memory(&less).unwrap_err().to_string(), "invalid memory+swap limit 50");
        let escape =
            Resources { unified: [("../x".to_owned(), "1".to_owned())].into(), ..Resources::default() };
        assert_eq!(limits(&escape).unwrap_err().to_string(), "invalid unified resource \"../x\"");
    }
}
