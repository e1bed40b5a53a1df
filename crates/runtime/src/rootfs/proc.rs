//! What may be mounted on `/proc` and inside it.
//!
//! Programs and runtimes trust it: a security label, say, is asked for by writing there, and whoever could cover that file would
//! have nothing happen (CVE-2019-16884). So only a proc is mounted on it, and of its files only those are covered that lxcfs
//! shows a container's own view by. The words of the refusals are runc's.

use crate::error::{Cannot, invalid};
use sampan_types::Result;
use std::{os::fd::AsFd, path::Path};

/// linux/magic.h
const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// What is only shown, never written to.
const COVERED: [&str; 10] = [
    "proc/cpuinfo",
    "proc/diskstats",
    "proc/loadavg",
    "proc/meminfo",
    "proc/slabinfo",
    "proc/stat",
    "proc/swaps",
    "proc/uptime",
    "proc/sys/crypto/fips_enabled",
    "proc/sys/kernel/ns_last_pid",
];

/// Refuses a mount of `tree` on `target`, which is at `path` below the root.
pub(super) fn check(tree: impl AsFd, target: impl AsFd, path: &Path) -> Result<()> {
    if path == Path::new("proc") {
        return match is_proc(tree)? {
            true => Ok(()),
            false => Err(refused(path, "it is not of type proc")),
        };
    }
    // By what is there, not by its name: a symbolic link may have led to it.
    if COVERED.iter().all(|covered| path != Path::new(covered)) && is_proc(target)? {
        return Err(refused(path, "it is inside /proc"));
    }
    Ok(())
}

fn refused(path: &Path, why: &str) -> sampan_types::Error {
    let path = Path::new("/").join(path);
    invalid(format!("{path:?} cannot be mounted because {why}"), "programs trust what they find in /proc")
}

/// Whether something is on a proc filesystem.
pub(super) fn is_proc(file: impl AsFd) -> Result<bool> {
    let stat = rustix::fs::fstatfs(file).cannot(|| "look at a filesystem".into())?;
    Ok(stat.f_type == PROC_SUPER_MAGIC)
}
