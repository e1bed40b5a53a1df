//! The hugetlb controller of cgroup v1, without which crun starts nothing.

use crate::run;
use anyhow::{Context as _, Result};
use std::path::Path;
use std::process::Command;

const PLACE: &str = "/sys/fs/cgroup/hugetlb";

/// Unmounts it when dropped, if it was mounted for this run.
pub(super) struct Hugetlb {
    mounted: bool,
}

/// Mounts it where cgroup v1 is in use, the kernel has it and the host has not mounted it.
pub(super) fn ensure() -> Result<Hugetlb> {
    let mounts =
        std::fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    let known = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    if !is_wanted(&mounts, &known) {
        return Ok(Hugetlb { mounted: false });
    }
    std::fs::create_dir_all(PLACE).with_context(|| format!("cannot create {PLACE}"))?;
    run::status(Command::new("mount").args(["-t", "cgroup", "-o", "hugetlb", "cgroup", PLACE]))?;
    Ok(Hugetlb { mounted: true })
}

fn is_wanted(mounts: &str, known: &str) -> bool {
    let is_v1 = mounts.lines().any(|line| line.contains(" - cgroup "));
    let is_mounted = Path::new(PLACE).join("cgroup.procs").exists();
    is_v1 && !is_mounted && known.lines().any(|line| line.starts_with("hugetlb\t"))
}

impl Drop for Hugetlb {
    fn drop(&mut self) {
        if self.mounted {
            // Busy means that somebody else has begun to use it.
            let _ = Command::new("umount").arg(PLACE).status();
            let _ = std::fs::remove_dir(PLACE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_wanted;

    #[test]
    fn a_unified_hierarchy_has_no_use_for_it() {
        assert!(!is_wanted("30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "hugetlb\t0\t1\t1\n"));
    }
}
