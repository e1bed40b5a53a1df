//! Limits as version 2 files (kernel: admin-guide/cgroup-v2.rst).

use super::{
    files,
    limits::{self, Limit},
    limits_v1::{idle_and_weight, pids},
};
use crate::error::invalid;
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{BlockIo, Cpu, MemoryLimits, Resources, ThrottleDevice},
};
use std::path::Path;

/// The quota bounds the burst.
const BANDWIDTH: u8 = 1;

/// All limits, in the order in which they are written; those by file name last, so that they win. What is in force is
/// read from the group's `directory` where a value of version 1 means something only together with one that is not given.
pub(super) fn limits(resources: &Resources, directory: &Path) -> Result<Vec<Limit>> {
    let mut limits = Vec::new();
    if let Some(cpu) = &resources.cpu {
        self::cpu(cpu, directory, &mut limits);
    }
    if let Some(memory) = &resources.memory {
        self::memory(memory, directory, &mut limits)?;
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        limits.push(Limit::new("pids", "pids.max", pids(limit)));
    }
    for page in &resources.hugepage_limits {
        limits.push(Limit::new("hugetlb", format!("hugetlb.{}.max", page.page_size), page.limit));
        limits.push(
            Limit::new("hugetlb", format!("hugetlb.{}.rsvd.max", page.page_size), page.limit).optional(),
        );
    }
    if let Some(io) = &resources.block_io {
        block_io(io, directory, &mut limits);
    }
    limits.extend(limits::rdma(resources)?);
    for (file, value) in &resources.unified {
        let (controller, _) = file.split_once('.').unwrap_or((file, ""));
        if file.contains('/') || controller == file || controller.is_empty() {
            return Err(invalid(
                format!("invalid configuration: unified resource {file:?}"),
                "it must be a file name (no slashes) that begins with its controller",
            ));
        }
        // Some files take one line at a time.
        let lines = value.lines().filter(|line| !line.is_empty());
        limits.extend(lines.map(|line| Limit::new(controller.to_owned(), file.clone(), line)));
    }
    Ok(limits)
}

fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

fn cpu(cpu: &Cpu, directory: &Path, limits: &mut Vec<Limit>) {
    let quota = cpu.quota.filter(|quota| *quota != 0).map(or_max);
    let bandwidth = match (quota, cpu.period.filter(|period| *period != 0)) {
        (quota, None) => quota,
        (Some(quota), Some(period)) => Some(format!("{quota} {period}")),
        (None, Some(period)) => {
            // The file has no way of saying the period alone.
            let present = files::read_present(directory, "cpu.max").unwrap_or_default();
            let quota = present.split_ascii_whitespace().next().unwrap_or("max");
            Some(format!("{quota} {period}"))
        }
    };
    let list = |list: &Option<String>| list.clone().filter(|list| !list.is_empty());
    let shares = cpu.shares.filter(|shares| *shares != 0);
    limits.extend(idle_and_weight(
        cpu.idle,
        shares.map(|shares| Limit::new("cpu", "cpu.weight", weight(shares))),
    ));
    limits.extend(bandwidth.map(|value| Limit::new("cpu", "cpu.max", value).in_set(BANDWIDTH)));
    limits.extend(cpu.burst.map(|value| Limit::new("cpu", "cpu.max.burst", value).in_set(BANDWIDTH)));
    limits.extend(list(&cpu.cpus).map(|value| Limit::new("cpuset", "cpuset.cpus", value)));
    limits.extend(list(&cpu.mems).map(|value| Limit::new("cpuset", "cpuset.mems", value)));
}

/// Version 1 shares (2 to 262144, usual 1024) as version 2 weight (1 to 10000, usual 100): a parabola in the logarithm
/// through (2, 1), (1024, 100) and (262144, 10000), as runc and crun have it since 2025.
pub(super) fn weight(shares: u64) -> u64 {
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let log = (shares as f64).log2();
            10f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil() as u64
        }
    }
}

/// Swap alone, which is what version 2 limits, from memory and swap together; -1 is no limit. `present` gives the memory limit in
/// force where none is given.
pub(super) fn swap(memory: &MemoryLimits, present: impl FnOnce() -> Option<i64>) -> Result<Option<i64>> {
    let Some(both) = memory.swap.filter(|swap| *swap != 0) else {
        // No limit on memory is none on both.
        return Ok((memory.limit == Some(-1)).then_some(-1));
    };
    if both < 0 {
        return Ok(Some(-1));
    }
    let limit = memory.limit.filter(|limit| *limit != 0).or_else(present).filter(|limit| *limit > 0);
    match limit {
        None => Err(invalid(
            format!("invalid memory+swap limit {both}"),
            "unable to set swap limit without memory limit",
        )),
        Some(limit) if both < limit => Err(invalid(
            format!("invalid memory+swap limit {both}"),
            format!("memory+swap limit should be >= memory limit, which is {limit}"),
        )),
        Some(limit) => Ok(Some(both - limit)),
    }
}

fn memory(memory: &MemoryLimits, directory: &Path, limits: &mut Vec<Limit>) -> Result<()> {
    let present =
        |file| files::read_present(directory, file).and_then(|text| text.trim().parse::<i64>().ok());
    let limit = memory.limit.filter(|limit| *limit != 0);
    if let Some(limit) = limit.filter(|limit| *limit > 0)
        && memory.check_before_update == Some(true)
        && let Some(usage) = present("memory.current").filter(|usage| *usage > limit)
    {
        // The kernel would kill until it is below.
        return Err(Error::new(ErrorKind::Conflict, format!("unable to set memory limit to {limit}"))
            .because(format!("current usage is {usage}")));
    }
    if let Some(swap) = self::swap(memory, || present("memory.max"))? {
        // Without swap in the kernel there is none to limit.
        limits.push(Limit::new("memory", "memory.swap.max", or_max(swap)).optional());
    }
    limits.extend(limit.map(|value| Limit::new("memory", "memory.max", or_max(value))));
    let low = memory.reservation.filter(|low| *low != 0);
    limits.extend(low.map(|value| Limit::new("memory", "memory.low", or_max(value))));
    Ok(())
}

/// A weight of 10 to 1000 as one of 1 to 10000.
pub(super) fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight).saturating_sub(10) * 9999 / 990
}

fn block_io(io: &BlockIo, directory: &Path, limits: &mut Vec<Limit>) {
    let given = |weight: Option<u16>| weight.filter(|weight| *weight != 0);
    let weights = io.weight.is_some() || io.weight_device.iter().any(|device| device.weight.is_some());
    // The BFQ scheduler takes version 1's weights as they are.
    let bfq = weights && directory.join("io.bfq.weight").exists();
    let (file, scaled): (&str, fn(u16) -> u64) =
        if bfq { ("io.bfq.weight", u64::from) } else { ("io.weight", io_weight) };
    limits
        .extend(given(io.weight).map(|weight| Limit::new("io", file, format!("default {}", scaled(weight)))));
    for device in &io.weight_device {
        limits.extend(given(device.weight).map(|weight| {
            Limit::new("io", file, format!("{}:{} {}", device.major, device.minor, scaled(weight)))
        }));
    }
    let mut throttle = |key: &str, devices: &[ThrottleDevice]| {
        limits.extend(devices.iter().map(|device| {
            // Version 1's word for no limit is 0.
            let rate = if device.rate == 0 { "max".to_owned() } else { device.rate.to_string() };
            Limit::new("io", "io.max", format!("{}:{} {key}={rate}", device.major, device.minor))
        }));
    };
    throttle("rbps", &io.throttle_read_bps_device);
    throttle("wbps", &io.throttle_write_bps_device);
    throttle("riops", &io.throttle_read_iops_device);
    throttle("wiops", &io.throttle_write_iops_device);
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_types::spec::Pids;

    fn written(resources: &Resources, directory: &Path) -> Vec<(String, String)> {
        let limits = limits(resources, directory).unwrap();
        limits.into_iter().map(|limit| (limit.file.into_owned(), limit.value)).collect()
    }

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
            ("cpu.max", "max"),
            ("memory.swap.max", "50"),
            ("memory.max", "100"),
            ("pids.max", "max"),
            ("memory.high", "90"),
        ];
        let none = Path::new("/nowhere");
        assert_eq!(
            written(&resources, none),
            expected.map(|(file, value)| (file.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn what_is_not_given_is_taken_from_what_is_in_force() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cpu.max"), "50000 100000\n").unwrap();
        std::fs::write(folder.path().join("memory.max"), "100\n").unwrap();
        let resources = Resources {
            cpu: Some(Cpu { period: Some(200_000), ..Cpu::default() }),
            memory: Some(MemoryLimits { swap: Some(150), ..MemoryLimits::default() }),
            ..Resources::default()
        };
        let expected = [("cpu.max", "50000 200000"), ("memory.swap.max", "50")];
        let expected = expected.map(|(file, value)| (file.to_owned(), value.to_owned()));
        assert_eq!(written(&resources, folder.path()), expected);
        std::fs::write(folder.path().join("memory.max"), "max\n").unwrap();
        let error = limits(&resources, folder.path()).unwrap_err();
        assert_eq!(error.causes(), ["unable to set swap limit without memory limit"]);
        std::fs::write(folder.path().join("memory.current"), "70\n").unwrap();
        let check =
            MemoryLimits { limit: Some(60), check_before_update: Some(true), ..MemoryLimits::default() };
        let error = memory(&check, folder.path(), &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "unable to set memory limit to 60");
    }

    #[test]
    fn weights_meet_at_the_ends_and_the_usual_value() {
        assert_eq!([0, 2, 1024, 262_144, u64::MAX].map(weight), [1, 1, 100, 10_000, 10_000]);
        assert!(weight(512) < 100 && weight(2048) > 100);
        assert_eq!([10, 100, 1000].map(io_weight), [1, 910, 10_000]);
    }

    #[test]
    fn impossible_limits_are_refused() {
        let less = MemoryLimits { limit: Some(100), swap: Some(50), ..MemoryLimits::default() };
        assert_eq!(swap(&less, || None).unwrap_err().to_string(), "invalid memory+swap limit 50");
        let escape =
            Resources { unified: [("../x".to_owned(), "1".to_owned())].into(), ..Resources::default() };
        let error = limits(&escape, Path::new("/nowhere")).unwrap_err();
        assert_eq!(error.to_string(), "invalid configuration: unified resource \"../x\"");
    }
}
