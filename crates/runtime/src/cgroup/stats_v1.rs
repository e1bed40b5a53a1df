//! What version 1's files say a group uses.

use super::{
    files,
    stats::{BlockIoEntry, CpuUsage, CpusetStats, HugepageStats, MemoryUse, Stats, Throttling, list, table},
};
use std::path::Path;

/// The kernel counts `cpuacct.stat` in hundredths of a second, whatever its own clock.
const TICK: u64 = 10_000_000;

/// Reads what there is; `directory` gives a controller's.
pub(super) fn read<'a>(directory: impl Fn(&str) -> Option<&'a Path>) -> Stats {
    let mut stats = Stats::default();
    if let Some(directory) = directory("cpuacct") {
        stats.cpu.usage = cpu(directory);
    }
    if let Some(text) = directory("cpu").and_then(|directory| files::read_present(directory, "cpu.stat")) {
        let number = |key| files::keyed(&text, key).unwrap_or_default();
        stats.cpu.throttling = Throttling {
            periods: number("nr_periods"),
            throttled_periods: number("nr_throttled"),
            throttled_time: number("throttled_time"),
        };
    }
    if let Some(directory) = directory("cpuset") {
        stats.cpuset = cpuset(directory);
    }
    if let Some(directory) = directory("memory") {
        stats.memory.raw =
            files::read_present(directory, "memory.stat").map(|text| table(&text)).unwrap_or_default();
        stats.memory.cache = stats.memory.raw.get("cache").copied().unwrap_or_default();
        stats.memory.usage = memory(directory, "memory");
        stats.memory.swap = memory(directory, "memory.memsw");
        stats.memory.kernel = memory(directory, "memory.kmem");
        stats.memory.kernel_tcp = memory(directory, "memory.kmem.tcp");
    }
    if let Some(directory) = directory("pids") {
        stats.pids.current = number(directory, "pids.current");
        stats.pids.limit = number(directory, "pids.max");
    }
    if let Some(directory) = directory("blkio") {
        // BFQ's files count what that scheduler did; the throttling layer's all.
        let entries = |file: &str| {
            let text = ["bfq", "throttle"].iter().find_map(|layer| {
                let text = files::read_present(directory, &format!("blkio.{layer}.{file}_recursive"))?;
                text.contains(':').then_some(text)
            });
            text.map(|text| block_io(&text)).unwrap_or_default()
        };
        stats.blkio.io_service_bytes_recursive = entries("io_service_bytes");
        stats.blkio.io_serviced_recursive = entries("io_serviced");
    }
    if let Some(directory) = directory("hugetlb") {
        stats.hugetlb = huge_pages(directory, ".usage_in_bytes", |size| HugepageStats {
            usage: number(directory, &format!("hugetlb.{size}.usage_in_bytes")),
            max: number(directory, &format!("hugetlb.{size}.max_usage_in_bytes")),
            failcnt: number(directory, &format!("hugetlb.{size}.failcnt")),
        });
    }
    stats
}

fn number(directory: &Path, file: &str) -> u64 {
    files::read_present(directory, file).and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

fn cpu(directory: &Path) -> CpuUsage {
    let numbers = |text: String| text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    let stat = files::read_present(directory, "cpuacct.stat").unwrap_or_default();
    let mut usage = CpuUsage {
        total: number(directory, "cpuacct.usage"),
        percpu: files::read_present(directory, "cpuacct.usage_percpu").map(numbers).unwrap_or_default(),
        kernel: files::keyed(&stat, "system").unwrap_or_default() * TICK,
        user: files::keyed(&stat, "user").unwrap_or_default() * TICK,
        ..CpuUsage::default()
    };
    for line in files::read_present(directory, "cpuacct.usage_all").unwrap_or_default().lines().skip(1) {
        let mut numbers = line.split(' ').filter_map(|word| word.parse().ok());
        if let (Some(_), Some(user), Some(system)) = (numbers.next(), numbers.next(), numbers.next()) {
            let _: u64 = user;
            usage.percpu_user.push(user);
            usage.percpu_kernel.push(system);
        }
    }
    usage
}

fn cpuset(directory: &Path) -> CpusetStats {
    let number = |file: &str| number(directory, &format!("cpuset.{file}"));
    let list = |file| files::read_present(directory, file).map(|text| list(&text)).unwrap_or_default();
    let level = files::read_present(directory, "cpuset.sched_relax_domain_level");
    CpusetStats {
        cpus: list("cpuset.cpus"),
        cpu_exclusive: number("cpu_exclusive"),
        mems: list("cpuset.mems"),
        mem_hardwall: number("mem_hardwall"),
        mem_exclusive: number("mem_exclusive"),
        memory_migrate: number("memory_migrate"),
        memory_spread_page: number("memory_spread_page"),
        memory_spread_slab: number("memory_spread_slab"),
        memory_pressure: number("memory_pressure"),
        sched_load_balance: number("sched_load_balance"),
        sched_relax_domain_level: level.and_then(|text| text.trim().parse().ok()).unwrap_or_default(),
    }
}

fn memory(directory: &Path, kind: &str) -> MemoryUse {
    let number = |file: &str| number(directory, &format!("{kind}.{file}"));
    MemoryUse {
        limit: number("limit_in_bytes"),
        usage: number("usage_in_bytes"),
        max: number("max_usage_in_bytes"),
        failcnt: number("failcnt"),
    }
}

/// Lines `MAJOR:MINOR OPERATION NUMBER`, and a last one without a device.
fn block_io(text: &str) -> Vec<BlockIoEntry> {
    let entry = |line: &str| {
        let mut words = line.split([' ', ':']);
        let (major, minor) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let (op, value) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        Some(BlockIoEntry { major, minor, op, value })
    };
    text.lines().filter_map(entry).collect()
}

/// The sizes of huge pages that a group has files for, each with what `of` makes of it.
pub(super) fn huge_pages(
    directory: &Path,
    suffix: &str,
    of: impl Fn(&str) -> HugepageStats,
) -> std::collections::BTreeMap<String, HugepageStats> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Default::default() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let size = |name: String| {
        let size = name.strip_prefix("hugetlb.")?.strip_suffix(suffix)?;
        // `2MB.rsvd` are the pages that are reserved, not a size.
        (!size.contains('.')).then(|| (size.to_owned(), of(size)))
    };
    names.filter_map(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_group() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("cpuacct.usage", "1000\n"),
            ("cpuacct.usage_percpu", "600 400 \n"),
            ("cpuacct.usage_all", "cpu user system\n0 500 100\n1 300 100\n"),
            ("cpuacct.stat", "user 3\nsystem 1\n"),
            ("cpu.stat", "nr_periods 5\nnr_throttled 2\nthrottled_time 77\n"),
            ("memory.stat", "cache 12\nrss 3\n"),
            ("memory.limit_in_bytes", "100\n"),
            ("memory.memsw.limit_in_bytes", "200\n"),
            ("pids.current", "1\n"),
            ("pids.max", "max\n"),
            ("blkio.bfq.io_serviced_recursive", "Total 0\n"),
            ("blkio.throttle.io_serviced_recursive", "254:0 Read 7\n254:0 Total 7\nTotal 7\n"),
            ("hugetlb.2MB.usage_in_bytes", "4\n"),
            ("hugetlb.2MB.rsvd.usage_in_bytes", "6\n"),
            ("cpuset.cpus", "0-1\n"),
            ("cpuset.sched_relax_domain_level", "-1\n"),
        ] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let stats = read(|_| Some(folder.path()));
        assert_eq!(
            (stats.cpu.usage.total, stats.cpu.usage.user, stats.cpu.usage.kernel),
            (1000, 30_000_000, TICK)
        );
        assert_eq!((stats.cpu.usage.percpu, stats.cpu.usage.percpu_kernel), (vec![600, 400], vec![100, 100]));
        assert_eq!(stats.cpu.throttling.throttled_time, 77);
        assert_eq!((stats.memory.cache, stats.memory.usage.limit, stats.memory.swap.limit), (12, 100, 200));
        assert_eq!((stats.pids.current, stats.pids.limit), (1, 0));
        let entry = BlockIoEntry { major: 254, minor: 0, op: "Read".into(), value: 7 };
        assert_eq!(stats.blkio.io_serviced_recursive[0], entry);
        assert_eq!(stats.hugetlb.keys().collect::<Vec<_>>(), ["2MB"]);
        assert_eq!((stats.cpuset.cpus, stats.cpuset.sched_relax_domain_level), (vec![0, 1], -1));
    }
}
