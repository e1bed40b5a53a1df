//! Version 1 hierarchies, with or without version 2 beside them.
//!
//! A container is in every hierarchy: limits, accounting and the freezer are all there when they are wanted, and a
//! system container finds its own group in each. One costs about 25 µs of a start, directory, entry and removal together.

use super::{CgroupManager, Entry, Hierarchy, Layout, Stats, devices, files, limits_v1, refuse_busy};
use crate::error::Cannot;
use rustix::fs::{Mode, OFlags};
use sampan_types::{Error, ErrorKind, Result, spec::Resources};
use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// What the root of a user namespace may write to: moving its own tasks.
const DELEGATED: [&str; 2] = ["cgroup.procs", "tasks"];
/// The same of version 2 (`/sys/kernel/cgroup/delegate`).
const DELEGATED_UNIFIED: [&str; 3] = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"];

/// A group in each version 1 hierarchy, and in version 2 where that is mounted.
#[derive(Debug)]
pub(super) struct Hybrid {
    groups: Vec<(Hierarchy, PathBuf)>,
    unified: Option<PathBuf>,
}

impl Hybrid {
    pub(super) fn new(layout: &Layout, path: &str) -> Self {
        Self {
            groups: layout.v1.iter().map(|own| (own.clone(), own.directory(path))).collect(),
            unified: layout.unified.as_ref().map(|own| own.directory(path)),
        }
    }

    fn directories(&self) -> impl Iterator<Item = &Path> {
        self.groups.iter().map(|(_, directory)| directory).chain(&self.unified).map(PathBuf::as_path)
    }

    fn with(&self, controller: &str) -> Option<&Path> {
        self.groups.iter().find(|(own, _)| own.has(controller)).map(|(_, directory)| directory.as_path())
    }

    fn make(&self) -> Result<()> {
        for (hierarchy, directory) in &self.groups {
            let made = files::make(directory)?;
            if made.is_empty() {
                refuse_busy(directory)?;
            }
            // A new group has no processors and no memory nodes, and cannot be entered.
            if hierarchy.has("cpuset") {
                made.iter().try_for_each(|directory| inherit_cpuset(directory))?;
            }
        }
        self.unified.iter().try_for_each(|directory| files::make(directory).map(drop))
    }

    /// The hierarchy to list processes by: the freezer's where there is one, so that what is listed can be stopped.
    fn listed(&self) -> Option<&Path> {
        self.with("freezer").or_else(|| self.directories().next())
    }
}

/// Gives a new group its parent's processors and memory nodes. A parent that has none yet is just being made by somebody
/// else, and gets its own first.
fn inherit_cpuset(directory: &Path) -> Result<()> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        // `cgroup.clone_children` has done it already where it is set.
        if !files::read(directory, file)?.is_empty() {
            continue;
        }
        if files::read(parent, file)?.is_empty() && parent.join(file).exists() {
            inherit_cpuset(parent)?;
        }
        files::write(directory, file, &files::read(parent, file)?)?;
    }
    Ok(())
}

impl CgroupManager for Hybrid {
    fn create(&self) -> Result<()> {
        match self.make() {
            // Somebody else's.
            Err(error) if error.kind() == ErrorKind::Conflict => Err(error),
            Err(error) => {
                // The first failure is the one to tell.
                let _ = self.delete();
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    fn apply(&self, resources: &Resources) -> Result<()> {
        if !resources.unified.is_empty() {
            return Err(crate::error::invalid(
                "invalid configuration: unified resources",
                "this host's controllers are in cgroup v1 hierarchies",
            ));
        }
        if let Some(directory) = self.with("memory") {
            limits_v1::memory(directory, resources)?;
        }
        for limit in limits_v1::limits(resources) {
            let Some(directory) = self.with(limit.controller) else {
                return Err(Error::new(ErrorKind::Unsupported, format!("cannot set {}", limit.file))
                    .because(format!("this host has no {} controller", limit.controller)));
            };
            files::write(directory, &limit.file, &limit.value)?;
        }
        match self.with("devices") {
            Some(directory) => devices::lines(&resources.devices)?
                .iter()
                .try_for_each(|(file, rule)| files::write(directory, file, rule)),
            None => Ok(()),
        }
    }

    fn delegate(&self, uid: u32, gid: u32) -> Result<()> {
        for (_, directory) in &self.groups {
            files::give(directory, &DELEGATED, uid, gid)?;
        }
        self.unified.iter().try_for_each(|directory| files::give(directory, &DELEGATED_UNIFIED, uid, gid))
    }

    fn entry(&self) -> Result<Entry> {
        let mut tasks = Vec::with_capacity(self.groups.len());
        for (hierarchy, directory) in &self.groups {
            let path = directory.join("tasks");
            let file = rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
                .cannot(|| format!("open {}", path.display()))?;
            tasks.push((hierarchy.name().to_owned(), file));
        }
        let directory = self.unified.as_deref().map(files::open).transpose()?;
        Ok(Entry { directory, tasks })
    }

    fn pids(&self) -> Result<Vec<i32>> {
        self.listed().map_or(Ok(Vec::new()), files::pids)
    }

    fn kill_all(&self) -> Result<()> {
        let Some(directory) = self.listed() else { return Ok(()) };
        files::kill(directory)?;
        // A stopped process dies only when it goes on.
        if self.frozen()? { self.freeze(false) } else { Ok(()) }
    }

    fn freeze(&self, frozen: bool) -> Result<()> {
        let Some(directory) = self.with("freezer") else {
            return Err(Error::new(ErrorKind::Unsupported, "cannot pause")
                .because("this host has no freezer controller"));
        };
        let state = if frozen { "FROZEN" } else { "THAWED" };
        files::write(directory, "freezer.state", state)?;
        for _ in 0..1000 {
            if files::read(directory, "freezer.state")? == state {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
            // Processes that were forked meanwhile are caught by writing again.
            files::write(directory, "freezer.state", state)?;
        }
        files::write(directory, "freezer.state", "THAWED")?;
        Err(Error::new(ErrorKind::Internal, format!("cannot pause {}", directory.display()))
            .because("processes did not stop within a second"))
    }

    fn frozen(&self) -> Result<bool> {
        match self.with("freezer") {
            Some(directory) if directory.exists() => Ok(files::read(directory, "freezer.state")? != "THAWED"),
            _ => Ok(false),
        }
    }

    fn stats(&self) -> Result<Stats> {
        let read = |controller, file| match self.with(controller) {
            Some(directory) if directory.exists() => files::number(directory, file, None),
            _ => Ok(0),
        };
        Ok(Stats {
            cpu_ns: read("cpuacct", "cpuacct.usage")?,
            memory_bytes: read("memory", "memory.usage_in_bytes")?,
            pids: read("pids", "pids.current")?,
        })
    }

    fn oom_kills(&self) -> Result<u64> {
        match self.with("memory") {
            Some(directory) if directory.exists() => {
                files::number(directory, "memory.oom_control", Some("oom_kill"))
            }
            _ => Ok(0),
        }
    }

    fn delete(&self) -> Result<()> {
        self.directories().try_for_each(files::remove)
    }
}
