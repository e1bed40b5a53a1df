//! Control groups: version 1 hierarchies, the hybrid layout, and version 2.
//!
//! One [`CgroupManager`] knows one layout; [`Cgroup`] picks the host's.

mod devices;
mod files;
mod layout;
mod limits_v1;
mod limits_v2;
mod v1;
mod v2;

pub(crate) use layout::{Hierarchy, Layout};

use sampan_types::{Result, spec::Linux, spec::Resources};
use std::{
    fmt,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

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

/// One way of keeping a container's control group: a layout of the kernel's, later systemd's. The life of a group:
/// `create` (once; a group that has processes is refused), `apply` any number of times, `entry` for each process that
/// is to be born in it, `delete` when all are dead. Every method but `create` treats an absent group as an empty one.
pub trait CgroupManager: fmt::Debug {
    /// Makes the group in every hierarchy. Undoes itself on failure.
    fn create(&self) -> Result<()>;
    /// Sets limits; what is absent is left alone.
    fn apply(&self, resources: &Resources) -> Result<()>;
    /// Gives the group to the root of a user namespace, as the kernel's delegation rules have it.
    fn delegate(&self, uid: u32, gid: u32) -> Result<()>;
    /// The way in for new processes.
    fn entry(&self) -> Result<Entry>;
    /// Processes in it and below it.
    fn pids(&self) -> Result<Vec<i32>>;
    /// Kills every process in it and below it.
    fn kill_all(&self) -> Result<()>;
    /// Stops (`true`) every process in it, or lets them go on; returns when that is done.
    fn freeze(&self, frozen: bool) -> Result<()>;
    /// Whether it is stopped.
    fn frozen(&self) -> Result<bool>;
    /// What it uses.
    fn stats(&self) -> Result<Stats>;
    /// How many processes the kernel has killed in it for want of memory.
    fn oom_kills(&self) -> Result<u64>;
    /// Removes it and what is below it.
    fn delete(&self) -> Result<()>;
}

/// The way into a group, for a process that is cloned: it is born in the version 2 group, and writes itself into the
/// version 1 groups before it does anything else.
///
/// That write is `0` into `tasks`. Writing another process's number, or into `cgroup.procs`, makes the kernel
/// wait for a grace period of its whole process table first (measured: 11 ms); a task that moves itself waits for nobody.
#[derive(Debug)]
pub struct Entry {
    directory: Option<OwnedFd>,
    tasks: Vec<(String, OwnedFd)>,
}

impl Entry {
    /// The version 2 directory to clone into.
    pub(crate) fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.directory.as_ref().map(AsFd::as_fd)
    }

    /// Moves the calling process, which has one thread, into the version 1 groups.
    pub(crate) fn enter(&self) -> Result<()> {
        use crate::error::Cannot;
        for (name, tasks) in &self.tasks {
            rustix::io::write(tasks, b"0").cannot(|| format!("enter the control group of {name}"))?;
        }
        Ok(())
    }
}

/// A container's control group, in every hierarchy of the host.
#[derive(Debug)]
pub struct Cgroup {
    path: String,
    layout: Layout,
    manager: Box<dyn CgroupManager>,
}

impl Cgroup {
    /// The control group of a path, whether or not it exists (also for those who tidy after a dead process). An
    /// absolute path starts at the hierarchies' mount points, a relative one at the caller's own group.
    pub fn open(path: &str) -> Result<Self> {
        if path.split('/').any(|part| part == "..") || path.trim_matches('/').is_empty() {
            return Err(crate::error::invalid(
                format!("invalid control group path {path:?}"),
                "it must name a group",
            ));
        }
        let layout = Layout::read()?;
        let manager: Box<dyn CgroupManager> = match (&layout.unified, layout.v1.is_empty()) {
            (Some(unified), true) => Box::new(v2::Unified::new(unified, path)),
            _ => Box::new(v1::Hybrid::new(&layout, path)),
        };
        Ok(Self { path: path.to_owned(), layout, manager })
    }

    /// The control group that a specification asks for; below the caller's own, named by the id, where it does not.
    pub(crate) fn of(linux: &Linux, id: &str) -> Result<Self> {
        Self::open(linux.cgroups_path.as_deref().filter(|path| !path.is_empty()).unwrap_or(id))
    }

    /// Makes it, with its limits.
    pub(crate) fn create(&self, resources: Option<&Resources>) -> Result<()> {
        self.manager.create()?;
        match resources.map_or(Ok(()), |resources| self.manager.apply(resources)) {
            Ok(()) => Ok(()),
            Err(error) => {
                // The first failure is the one to tell.
                let _ = self.manager.delete();
                Err(error)
            }
        }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn entry(&self) -> Result<Entry> {
        self.manager.entry()
    }

    /// The way into the version 2 group that a process is in. No version 1 group refuses a process, so there it is not needed.
    pub(crate) fn entry_of(&self, pid: i32) -> Result<Entry> {
        use crate::error::Cannot;
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
            .cannot(|| format!("find process {pid}"))?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        let directory =
            self.layout.unified.as_ref().map(|unified| files::open(&unified.directory(path))).transpose()?;
        Ok(Entry { directory, tasks: Vec::new() })
    }

    pub(crate) fn delegate(&self, uid: u32, gid: u32) -> Result<()> {
        self.manager.delegate(uid, gid)
    }

    /// The path as it was asked for.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Sets limits; what is absent is left alone.
    pub fn apply(&self, resources: &Resources) -> Result<()> {
        self.manager.apply(resources)
    }

    /// Processes in it and below it.
    pub fn pids(&self) -> Result<Vec<i32>> {
        self.manager.pids()
    }

    /// Kills every process in it and below it with `SIGKILL`, those that are forking included.
    pub fn kill_all(&self) -> Result<()> {
        self.manager.kill_all()
    }

    /// Stops every process in it until [`Self::thaw`].
    pub fn freeze(&self) -> Result<()> {
        self.manager.freeze(true)
    }

    /// Undoes [`Self::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.manager.freeze(false)
    }

    /// Whether it is stopped.
    pub fn frozen(&self) -> Result<bool> {
        self.manager.frozen()
    }

    /// What it uses.
    pub fn stats(&self) -> Result<Stats> {
        self.manager.stats()
    }

    /// Whether the kernel killed a process of it for want of memory.
    pub fn oom_killed(&self) -> Result<bool> {
        self.manager.oom_kills().map(|kills| kills > 0)
    }

    /// Removes it and what is below it; absent is fine. Processes must be dead.
    pub fn delete(&self) -> Result<()> {
        self.manager.delete()
    }
}

/// The group is not empty: another container of this name lives in it.
fn refuse_busy(path: &std::path::Path) -> Result<()> {
    use sampan_types::{Error, ErrorKind};
    let pids = files::pids(path)?;
    if pids.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, "container's cgroup is not empty")
        .because(format!("processes {pids:?} are in {}", path.display())))
}
