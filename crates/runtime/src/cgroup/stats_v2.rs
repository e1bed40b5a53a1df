//! What version 2's files say a group uses.

use super::{
    files,
    stats::{BlockIoEntry, HugepageStats, MemoryUse, Pressure, Stats, Throttling, list, table},
    stats_v1::huge_pages,
};
use std::path::Path;

/// Reads what there is.
pub(super) fn read(directory: &Path) -> Stats {
    let mut stats = Stats::default();
    let text = |file: &str| files::read_present(directory, file);
    if let Some(text) = text("cpu.stat") {
        let nanoseconds = |key| files::keyed(&text, key).unwrap_or_default().saturating_mul(1000);
        stats.cpu.usage.total = nanoseconds("usage_usec");
        stats.cpu.usage.user = nanoseconds("user_usec");
        stats.cpu.usage.kernel = nanoseconds("system_usec");
        stats.cpu.throttling = Throttling {
            periods: files::keyed(&text, "nr_periods").unwrap_or_default(),
            throttled_periods: files::keyed(&text, "nr_throttled").unwrap_or_default(),
            throttled_time: nanoseconds("throttled_usec"),
        };
    }
    let psi = |file| text(file).map(|text| Pressure::parse(&text));
    stats.cpu.psi = psi("cpu.pressure");
    stats.cpuset.cpus = text("cpuset.cpus.effective").map(|text| list(&text)).unwrap_or_default();
    stats.cpuset.mems = text("cpuset.mems.effective").map(|text| list(&text)).unwrap_or_default();
    if let Some(usage) = number(directory, "memory.current") {
        stats.memory.raw = text("memory.stat").map(|text| table(&text)).unwrap_or_default();
        stats.memory.cache = stats.memory.raw.get("file").copied().unwrap_or_default();
        let hits = |file| text(file).and_then(|text| files::keyed(&text, "max")).unwrap_or_default();
        let peak = |file| number(directory, file).unwrap_or_default();
        let limit = number(directory, "memory.max").unwrap_or(u64::MAX);
        stats.memory.usage =
            MemoryUse { limit, usage, max: peak("memory.peak"), failcnt: hits("memory.events") };
        let swap = number(directory, "memory.swap.current").unwrap_or_default();
        let swap_limit = number(directory, "memory.swap.max").unwrap_or(u64::MAX);
        // Together, as version 1 has it.
        stats.memory.swap = MemoryUse {
            limit: limit.saturating_add(swap_limit),
            usage: usage + swap,
            max: 0,
            failcnt: hits("memory.swap.events"),
        };
        stats.memory.kernel.usage = stats.memory.raw.get("kernel").copied().unwrap_or_default();
        stats.memory.psi = psi("memory.pressure");
    }
    stats.pids.current = number(directory, "pids.current").unwrap_or_default();
    stats.pids.limit = number(directory, "pids.max").unwrap_or_default();
    let io = text("io.stat").unwrap_or_default();
    stats.blkio.io_service_bytes_recursive =
        block_io(&io, &[("rbytes", "Read"), ("wbytes", "Write"), ("dbytes", "Discard")]);
    stats.blkio.io_serviced_recursive =
        block_io(&io, &[("rios", "Read"), ("wios", "Write"), ("dios", "Discard")]);
    stats.blkio.psi = psi("io.pressure");
    stats.hugetlb = huge_pages(directory, ".current", |size| HugepageStats {
        usage: number(directory, &format!("hugetlb.{size}.current")).unwrap_or_default(),
        max: 0,
        failcnt: text(&format!("hugetlb.{size}.events"))
            .and_then(|text| files::keyed(&text, "max"))
            .unwrap_or_default(),
    });
    stats
}

/// `max` and a file that is missing are no number.
fn number(directory: &Path, file: &str) -> Option<u64> {
    files::read_present(directory, file)?.trim().parse().ok()
}

/// Lines `MAJOR:MINOR key=number …`.
fn block_io(text: &str, keys: &[(&str, &str)]) -> Vec<BlockIoEntry> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some((major, minor)) = words.next().and_then(|device| device.split_once(':')) else { continue };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let Some((_, op)) = keys.iter().find(|own| own.0 == key) else { continue };
            let value = value.parse().unwrap_or_default();
            entries.push(BlockIoEntry { major, minor, op: (*op).to_owned(), value });
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_group() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            (
                "cpu.stat",
                "usage_usec 10\nuser_usec 7\nsystem_usec 3\nnr_periods 5\nnr_throttled 2\nthrottled_usec 4\n",
            ),
            ("memory.current", "50\n"),
            ("memory.max", "100\n"),
            ("memory.swap.current", "5\n"),
            ("memory.swap.max", "max\n"),
            ("memory.stat", "anon 1\nfile 12\nkernel 3\n"),
            ("memory.events", "low 0\nmax 6\noom_kill 1\n"),
            ("pids.max", "20\n"),
            ("io.stat", "254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n"),
            ("hugetlb.2MB.current", "4\n"),
            ("hugetlb.2MB.rsvd.current", "4\n"),
        ] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let stats = read(folder.path());
        assert_eq!((stats.cpu.usage.total, stats.cpu.throttling.throttled_time), (10_000, 4000));
        let memory = &stats.memory;
        assert_eq!(
            (memory.cache, memory.usage.limit, memory.usage.failcnt, memory.kernel.usage),
            (12, 100, 6, 3)
        );
        assert_eq!((memory.swap.usage, memory.swap.limit), (55, u64::MAX));
        assert_eq!((stats.pids.current, stats.pids.limit), (0, 20));
        let read = &stats.blkio.io_service_bytes_recursive[0];
        assert_eq!((read.op.as_str(), read.value, read.major), ("Read", 4096, 254));
        assert_eq!(stats.hugetlb.len(), 1);
    }
}
