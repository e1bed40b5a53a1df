//! The processes of the host and the memory they take, from /proc.

use anyhow::{Context as _, Result};
use std::collections::HashMap;
use std::fs;

/// One process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// The file name in its first word; where that was written over with a sentence, the name that the kernel has (15 bytes).
    pub(crate) name: String,
    /// Its parent.
    pub(crate) parent: u32,
    /// The words it was started with.
    pub(crate) words: Vec<String>,
}

/// All processes by id; those that end while this looks are left out.
pub(crate) fn all() -> Result<HashMap<u32, Process>> {
    let entries = fs::read_dir("/proc").context("cannot read /proc")?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(|pid| Some((pid, one(pid)?))).collect())
}

fn one(pid: u32) -> Option<Process> {
    let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
    let words: Vec<String> = words.split_terminator('\0').map(str::to_owned).collect();
    let name = match words.first() {
        Some(word) if !word.contains(' ') => word.rsplit('/').next().unwrap_or(word).to_owned(),
        _ => fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned(),
    };
    Some(Process { name, parent, words })
}

/// The parent of `pid`, its parent and so on, up to process 1, which is left out.
pub(crate) fn ancestors(all: &HashMap<u32, Process>, pid: u32) -> Vec<u32> {
    std::iter::successors(Some(pid), |pid| all.get(pid).map(|process| process.parent))
        .skip(1)
        .take_while(|pid| *pid > 1)
        .collect()
}

/// `pid` and all processes below it.
pub(crate) fn tree(all: &HashMap<u32, Process>, pid: u32) -> Vec<u32> {
    all.keys().copied().filter(|other| *other == pid || ancestors(all, *other).contains(&pid)).collect()
}

/// The proportional set size of a process in KiB: its own pages and its share of those it shares (proc(5), smaps_rollup).
pub(crate) fn pss_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|value| value.trim().strip_suffix("kB")?.trim().parse().ok())
        .with_context(|| format!("{path} has no line Pss"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_below_its_parent_and_takes_memory() {
        let all = all().unwrap();
        let own = std::process::id();
        let parent = std::os::unix::process::parent_id();
        assert_eq!(ancestors(&all, own).first(), Some(&parent));
        assert!(tree(&all, parent).contains(&own));
        assert!(pss_kib(own).unwrap() > 100);
    }
}
