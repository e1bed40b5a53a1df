//! Control groups: version 1 hierarchies, the hybrid layout, and version 2; made by us, or by systemd at our request.
//!
//! One [`CgroupManager`] knows one way of keeping a group; [`Cgroup`] picks the host's.

mod devices;
mod entry;
mod files;
mod freezer_v1;
mod layout;
mod limits;
mod limits_v1;
mod limits_v2;
mod oom;
mod record;
mod stats;
mod stats_v1;
mod stats_v2;
mod sub;
mod systemd;
mod v1;
mod v2;

pub(crate) use entry::Entry;
pub(crate) use layout::{Hierarchy, Layout, ROOT};
pub use oom::{OomEvent, OomWatch};
pub use record::{CgroupDriver, CgroupRecord};
pub use stats::{
    BlockIoEntry, BlockIoStats, CpuStats, CpuUsage, CpusetStats, HugepageStats, MemoryStats, MemoryUse,
    PidStats, Pressure, Stall, Stats, Throttling,
};
pub use sub::SubGroups;

use sampan_types::{
    Result,
    spec::{DeviceRule, Linux, Resources},
};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// What is to hold for a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits<'a> {
    /// Limits; what is absent is left alone. Its device rules are not looked at.
    pub(crate) resources: &'a Resources,
    /// Which devices may be used; `None` leaves that alone.
    pub(crate) devices: Option<&'a [DeviceRule]>,
}

/// What a lack of permission comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tolerance {
    /// A failure.
    None,
    /// A group less, for a caller who has not all of root's rights.
    Unprivileged,
    /// A group less.
    Any,
}

impl Tolerance {
    /// Looked at only when permission is lacking.
    fn allows(self) -> bool {
        match self {
            Self::None => false,
            Self::Unprivileged => unprivileged(),
            Self::Any => true,
        }
    }
}

/// Whether the caller is an ordinary user, or root of a user namespace only.
fn unprivileged() -> bool {
    let all = |map: String| map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    !rustix::process::geteuid().is_root() || !std::fs::read_to_string("/proc/self/uid_map").is_ok_and(all)
}

/// One way of keeping a container's control group: a layout of the kernel's, or systemd's on top of one. The life of a
/// group:
///
/// 1. `create`, once: it is there in every hierarchy with its limits, or nothing of it is. One that has processes already, or
///    is frozen, is refused. Gives the hierarchies that were left out for want of permission, where the caller said that this
///    is no failure and no limit needs them.
/// 2. `entry` for each process that is to be born in it, and `admit` once that has been cloned.
/// 3. `apply`, any number of times: sets what is given, in an order that is legal whatever was in force; where the kernel
///    refuses one value, those set before by the same call are taken back, and the error names the value.
/// 4. `delete` when all are dead: the groups that the container made below it go too.
///
/// Every method but `create`, `entry`, `apply` and `freeze` treats an absent group as an empty one.
pub(crate) trait CgroupManager: fmt::Debug {
    /// Makes the group in every hierarchy, with limits. Undoes itself on failure.
    fn create(&mut self, limits: Limits<'_>) -> Result<Vec<String>>;
    /// Refuses a group that is in use or frozen, in whatever hierarchy.
    fn refuse_used(&self) -> Result<()>;
    /// Changes limits.
    fn apply(&self, limits: Limits<'_>) -> Result<()>;
    /// Gives the group to the root of a user namespace, as the kernel's delegation rules have it.
    fn delegate(&self, uid: u32, gid: u32) -> Result<()>;
    /// The way in for new processes, or into groups below it.
    fn entry(&self, sub: &SubGroups) -> Result<Entry>;
    /// Lets in the process that was cloned for an entry and may be waiting in [`Entry::enter`].
    fn admit(&self, _entry: &Entry, _pid: i32) -> Result<()> {
        Ok(())
    }
    /// Processes in it and below it.
    fn pids(&self) -> Result<Vec<i32>>;
    /// Kills every process in it and below it, frozen ones and those being forked included.
    fn kill_all(&self) -> Result<()>;
    /// Stops (`true`) every process in it, or lets them go on; returns when that is done.
    fn freeze(&self, frozen: bool) -> Result<()>;
    /// Whether it is stopped.
    fn frozen(&self) -> Result<bool>;
    /// What it uses.
    fn stats(&self) -> Result<Stats>;
    /// How many processes the kernel has killed in it for want of memory.
    fn oom_kills(&self) -> Result<u64>;
    /// Waits for the kernel to run out of memory in it.
    fn oom_watch(&self) -> Result<OomWatch>;
    /// Removes it and what is below it.
    fn delete(&self) -> Result<()>;
}

/// A container's control group, in every hierarchy of the host.
#[derive(Debug)]
pub struct Cgroup {
    record: CgroupRecord,
    manager: Box<dyn CgroupManager>,
}

/// What a container's group is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The container.
    pub(crate) id: &'a str,
    /// Its path is there.
    pub(crate) linux: &'a Linux,
    /// `org.systemd.property.*` are there.
    pub(crate) annotations: &'a BTreeMap<String, String>,
    /// Who makes it.
    pub(crate) driver: CgroupDriver,
    /// The caller may have no right to make groups; then there is none, unless a path or limits are asked for. So it is also for
    /// callers who turn out not to be root.
    pub(crate) rootless: bool,
}

impl Cgroup {
    /// The control group of a path, whether or not it exists (also for those who tidy after a dead process). An
    /// absolute path starts at the hierarchies' mount points, a relative one at the caller's own group.
    pub fn open(path: &str) -> Result<Self> {
        let layout = Layout::read()?;
        Self::reopen(CgroupRecord { path: layout::checked(path)?, unit: None, layout })
    }

    /// The control group that another process has made, from what it wrote down.
    pub fn reopen(record: CgroupRecord) -> Result<Self> {
        let groups = record.groups(Tolerance::None, record.unit.is_some());
        let manager = match &record.unit {
            None => groups,
            Some(unit) => Box::new(systemd::Systemd::reopen(unit.clone(), groups)),
        };
        Ok(Self { record, manager })
    }

    /// The control group that a specification asks for; where it does not, one that is named by the id, below the caller's own or in
    /// systemd's usual slice.
    pub(crate) fn of(wanted: Wanted<'_>) -> Result<Self> {
        let layout = Layout::read()?;
        let path = wanted.linux.cgroups_path.as_deref().filter(|path| !path.is_empty());
        if wanted.driver == CgroupDriver::Systemd {
            let systemd = systemd::Systemd::of(wanted, path, layout)?;
            return Ok(Self { record: systemd.record(), manager: Box::new(systemd) });
        }
        let record = CgroupRecord { path: layout::checked(path.unwrap_or(wanted.id))?, unit: None, layout };
        let tolerance = match (path, wanted.rootless) {
            (Some(_), _) => Tolerance::None,
            (None, false) => Tolerance::Unprivileged,
            (None, true) => Tolerance::Any,
        };
        let manager = record.groups(tolerance, false);
        Ok(Self { record, manager })
    }

    /// Makes it, with its limits. With `guarded`, devices are restricted to the usual ones even where the specification says
    /// nothing of them. Gives warnings for the user.
    pub(crate) fn create(&mut self, resources: Option<&Resources>, guarded: bool) -> Result<Vec<String>> {
        static NONE: std::sync::LazyLock<Resources> = std::sync::LazyLock::new(Resources::default);
        let resources = resources.unwrap_or(&NONE);
        let devices = Some(resources.devices.as_slice()).filter(|list| guarded || !list.is_empty());
        let left_out = self.manager.create(Limits { resources, devices })?;
        if left_out.is_empty() {
            return Ok(Vec::new());
        }
        self.record.layout.leave_out(&left_out);
        let names: Vec<_> =
            left_out.iter().map(|name| if name.is_empty() { "cgroup v2" } else { name }).collect();
        Ok(vec![format!("no permission to make control groups ({}): going on without", names.join(", "))])
    }

    /// What [`Self::reopen`] needs.
    pub fn record(&self) -> &CgroupRecord {
        &self.record
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.record.layout
    }

    /// The directory whose freezer stops all processes in it; `None` where there is none.
    pub(crate) fn freezer(&self) -> Option<PathBuf> {
        let has =
            |controllers: &str| controllers.is_empty() || controllers.split(',').any(|own| own == "freezer");
        // Version 2 comes last, and has one always.
        let mut all = self.record.directories().into_iter();
        all.find(|(controllers, _)| has(controllers)).map(|(_, directory)| directory)
    }

    /// Its path from each hierarchy's root, by the hierarchy's controllers; version 2 has none of them.
    pub(crate) fn roots(&self) -> Vec<(String, PathBuf)> {
        let layout = &self.record.layout;
        let mounts = layout.v1.iter().chain(&layout.unified).map(|own| &own.mount);
        let below = |((controllers, directory), mount): ((String, PathBuf), &PathBuf)| {
            let below = directory.strip_prefix(mount).unwrap_or(&directory);
            (controllers, Path::new("/").join(below))
        };
        self.record.directories().into_iter().zip(mounts).map(below).collect()
    }

    pub(crate) fn entry(&self) -> Result<Entry> {
        self.manager.entry(&SubGroups::default())
    }

    /// The way into groups below it.
    pub(crate) fn entry_below(&self, sub: &SubGroups) -> Result<Entry> {
        self.manager.entry(sub)
    }

    /// Lets in the process that was cloned for an entry; to be called after each such clone.
    pub(crate) fn admit(&self, entry: &Entry, pid: i32) -> Result<()> {
        self.manager.admit(entry, pid)
    }

    /// The way into the version 2 group that a process is in. No version 1 group refuses a process, so there it is not needed.
    pub(crate) fn entry_of(&self, pid: i32) -> Result<Entry> {
        use crate::error::Cannot;
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
            .cannot(|| format!("find process {pid}"))?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        let unified = self.record.layout.unified.as_ref();
        let directory = unified.map(|unified| files::open(&unified.directory(path))).transpose()?;
        Ok(Entry::of_version_2(directory))
    }

    pub(crate) fn delegate(&self, uid: u32, gid: u32) -> Result<()> {
        self.manager.delegate(uid, gid)
    }

    /// Its path in every hierarchy: from the mount point where it is absolute, else from the group its maker was in.
    pub fn path(&self) -> &str {
        &self.record.path
    }

    /// Sets limits; what is absent is left alone, an empty list of device rules too. A failure leaves all as it was.
    pub fn apply(&self, resources: &Resources) -> Result<()> {
        let devices = Some(resources.devices.as_slice()).filter(|list| !list.is_empty());
        self.manager.apply(Limits { resources, devices })
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

    /// A descriptor to wait on for the kernel running out of memory in it.
    ///
    /// # Errors
    /// `NotFound` where the group is gone or has no memory controller.
    pub fn oom_watch(&self) -> Result<OomWatch> {
        self.manager.oom_watch()
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

/// The group is stopped: what would be born in it could not run.
fn refuse_frozen(path: &std::path::Path, frozen: bool) -> Result<()> {
    use sampan_types::{Error, ErrorKind};
    match frozen {
        false => Ok(()),
        true => Err(Error::new(ErrorKind::Conflict, "container's cgroup unexpectedly frozen")
            .because(format!("{} was left so", path.display()))
            .hint("thaw it or remove it")),
    }
}
