//! What a control group uses, in the shape in which `runc events --stats` prints it as `data` (absent values are left out as
//! there, so that its readers find what they look for).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Processor time.
    pub cpu: CpuStats,
    /// Processors and memory nodes.
    pub cpuset: CpusetStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Tasks.
    pub pids: PidStats,
    /// Block devices.
    pub blkio: BlockIoStats,
    /// Huge pages by size (`2MB`).
    pub hugetlb: BTreeMap<String, HugepageStats>,
    /// Cache and memory bandwidth; filled in by who knows of it.
    pub intel_rdt: serde_json::Map<String, serde_json::Value>,
    /// Always null: links are not a control group's.
    pub network_interfaces: Option<Vec<serde_json::Value>>,
}

/// Processor time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuStats {
    /// Time used.
    pub usage: CpuUsage,
    /// How often the quota was used up.
    pub throttling: Throttling,
    /// How long tasks waited for a processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// Processor time in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuUsage {
    /// All.
    #[serde(skip_serializing_if = "is_default")]
    pub total: u64,
    /// By processor (version 1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// In the kernel, by processor (version 1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// In programs, by processor (version 1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In programs.
    pub user: u64,
}

/// Periods of the processor's quota.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Throttling {
    /// That have passed.
    #[serde(skip_serializing_if = "is_default")]
    pub periods: u64,
    /// In which the quota was used up.
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_periods: u64,
    /// Nanoseconds of waiting.
    #[serde(skip_serializing_if = "is_default")]
    pub throttled_time: u64,
}

/// The cpuset controller's values (version 1; of version 2 only the lists).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // They have the names of the kernel's files.
pub struct CpusetStats {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// Memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryStats {
    /// Bytes of files that can be dropped.
    #[serde(skip_serializing_if = "is_default")]
    pub cache: u64,
    /// Memory.
    pub usage: MemoryUse,
    /// Memory and swap together.
    pub swap: MemoryUse,
    /// The kernel's memory for it.
    pub kernel: MemoryUse,
    /// The kernel's memory for its TCP connections.
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryUse,
    /// `memory.stat` as it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// How long tasks waited for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One kind of memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryUse {
    /// The limit; the largest number there is where there is none.
    pub limit: u64,
    /// In use.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    /// The most that was.
    #[serde(skip_serializing_if = "is_default")]
    pub max: u64,
    /// How often the limit was met.
    pub failcnt: u64,
}

/// Tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PidStats {
    /// How many there are.
    #[serde(skip_serializing_if = "is_default")]
    pub current: u64,
    /// How many there may be; 0 where there is no limit.
    #[serde(skip_serializing_if = "is_default")]
    pub limit: u64,
}

/// Block devices, groups below included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockIoStats {
    /// Bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlockIoEntry>,
    /// Operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlockIoEntry>,
    /// How long tasks waited for devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One number of one device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockIoEntry {
    /// Major number.
    #[serde(skip_serializing_if = "is_default")]
    pub major: u64,
    /// Minor number.
    #[serde(skip_serializing_if = "is_default")]
    pub minor: u64,
    /// `Read`, `Write` and others of the kernel's.
    #[serde(skip_serializing_if = "is_default")]
    pub op: String,
    /// The number.
    #[serde(skip_serializing_if = "is_default")]
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HugepageStats {
    /// In use.
    #[serde(skip_serializing_if = "is_default")]
    pub usage: u64,
    /// The most that was.
    #[serde(skip_serializing_if = "is_default")]
    pub max: u64,
    /// How often the limit was met.
    pub failcnt: u64,
}

/// How long tasks waited (kernel: accounting/psi.rst).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pressure {
    /// Some task did.
    pub some: Stall,
    /// All did.
    pub full: Stall,
}

/// One line of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stall {
    /// Percent of the last ten seconds.
    pub avg10: f64,
    /// Percent of the last minute.
    pub avg60: f64,
    /// Percent of the last five minutes.
    pub avg300: f64,
    /// Microseconds in all.
    pub total: u64,
}

impl Pressure {
    pub(super) fn parse(text: &str) -> Self {
        let stall = |kind: &str| {
            let mut stall = Stall::default();
            let line = text.lines().find_map(|line| line.strip_prefix(kind)).unwrap_or_default();
            for (key, value) in line.split_ascii_whitespace().filter_map(|word| word.split_once('=')) {
                match key {
                    "avg10" => stall.avg10 = value.parse().unwrap_or_default(),
                    "avg60" => stall.avg60 = value.parse().unwrap_or_default(),
                    "avg300" => stall.avg300 = value.parse().unwrap_or_default(),
                    _ => stall.total = value.parse().unwrap_or_default(),
                }
            }
            stall
        };
        Self { some: stall("some "), full: stall("full ") }
    }
}

/// The numbers of a list (`0-2,5`).
pub(super) fn list(text: &str) -> Vec<u16> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) {
            numbers.extend(first..=last);
        }
    }
    numbers
}

/// Every line `KEY NUMBER`.
pub(super) fn table(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.filter_map(|(key, value)| Some((key.to_owned(), value.trim().parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_group_has_runcs_shape() {
        let json = serde_json::to_value(Stats::default()).unwrap();
        assert_eq!(json["cpu"], serde_json::json!({"usage": {"kernel": 0, "user": 0}, "throttling": {}}));
        assert_eq!(json["memory"]["kernelTCP"], serde_json::json!({"limit": 0, "failcnt": 0}));
        assert_eq!(json["pids"], serde_json::json!({}));
        assert!(json["network_interfaces"].is_null() && json["intel_rdt"].is_object());
    }

    #[test]
    fn kernel_texts() {
        let text = "some avg10=1.50 avg60=0.00 avg300=0.00 total=12\nfull avg10=0.00 avg60=0.25 avg300=0.00 total=3\n";
        let pressure = Pressure::parse(text);
        assert_eq!((pressure.some.avg10, pressure.some.total, pressure.full.avg60), (1.5, 12, 0.25));
        assert_eq!(list("0-2,5\n"), [0, 1, 2, 5]);
        assert!(list("\n").is_empty());
        assert_eq!(table("anon 12\nfile 3\nodd x\n").len(), 2);
    }
}
