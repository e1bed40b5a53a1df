//! Control groups: version 1 hierarchies, the hybrid layout, and version 2.

use sampan_types::Result;

/// A container's control group, in every hierarchy it is in.
#[derive(Debug)]
pub struct Cgroup {
    path: String,
}

/// What a control group uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Processor time in nanoseconds.
    pub cpu_ns: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Number of tasks.
    pub pids: u64,
}

impl Cgroup {
    /// The control group of a path, whether or not it exists (for those who tidy after a dead process).
    pub fn open(path: &str) -> Result<Self> {
        Ok(Self { path: path.to_owned() })
    }

    /// The path below each hierarchy's mount point.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Processes in it and below it.
    pub fn pids(&self) -> Result<Vec<i32>> {
        Ok(Vec::new())
    }

    /// Kills every process in it and below it with `SIGKILL`, those that are forking included.
    pub fn kill_all(&self) -> Result<()> {
        Ok(())
    }

    /// Stops every process in it until [`Self::thaw`].
    pub fn freeze(&self) -> Result<()> {
        Ok(())
    }

    /// Undoes [`Self::freeze`].
    pub fn thaw(&self) -> Result<()> {
        Ok(())
    }

    /// What it uses.
    pub fn stats(&self) -> Result<Stats> {
        Ok(Stats::default())
    }

    /// Whether the kernel killed a process of it for want of memory.
    pub fn oom_killed(&self) -> Result<bool> {
        Ok(false)
    }

    /// Removes it and what is below it; absent is fine. Processes must be dead.
    pub fn delete(&self) -> Result<()> {
        Ok(())
    }
}
