//! The machine that figures were taken on.

use anyhow::{Context as _, Result};
use std::fs;

/// The machine as a paragraph of markdown: processor, cores, memory, kernel, control groups, and the load averages of 1, 5 and 15
/// minutes as they are now, before measuring adds to them.
pub(crate) fn describe() -> Result<String> {
    let load = read("/proc/loadavg")?;
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    let cores = std::thread::available_parallelism().context("cannot count the processors")?;
    let cpuinfo = read("/proc/cpuinfo")?;
    let model = field(&cpuinfo, "model name").unwrap_or("unknown processor");
    let meminfo = read("/proc/meminfo")?;
    let kib: u64 =
        field(&meminfo, "MemTotal").and_then(|v| v.split(' ').next()?.parse().ok()).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "Machine: {model}, {cores} cores, {} GiB, Linux {}, {}; load before: {}\n\n",
        kib.div_ceil(1 << 20),
        kernel.trim(),
        cgroup_layout(&read("/proc/mounts")?),
        load.join(" ")
    ))
}

/// The value of the first `key: value` line.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
}

/// How control groups are mounted, from /proc/mounts.
fn cgroup_layout(mounts: &str) -> &'static str {
    let has = |kind| mounts.lines().any(|line| line.split(' ').nth(2) == Some(kind));
    match (has("cgroup"), has("cgroup2")) {
        (true, true) => "cgroup v1 with v2 beside it (hybrid)",
        (true, false) => "cgroup v1",
        (false, true) => "cgroup v2",
        (false, false) => "no cgroups mounted",
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_told_apart_by_the_kind_of_mount() {
        let v1 = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n";
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        assert_eq!(cgroup_layout(v1), "cgroup v1");
        assert_eq!(cgroup_layout(v2), "cgroup v2");
        assert_eq!(cgroup_layout(&format!("{v1}{v2}")), "cgroup v1 with v2 beside it (hybrid)");
        assert_eq!(cgroup_layout("proc /proc proc rw 0 0\n"), "no cgroups mounted");
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        assert_eq!(field("model\t\t: 167\nmodel name\t: A CPU\n", "model name"), Some("A CPU"));
    }
}
