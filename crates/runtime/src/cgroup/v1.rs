//! Version 1 hierarchies, with or without version 2 beside them.
//!
//! A container is in every hierarchy: limits, accounting and the freezer are all there when they are wanted, and a
//! system container finds its own group in each. One costs about 25 µs of a start, directory, entry and removal together.

use super::{
    CgroupManager, Entry, Layout, Limits, OomWatch, Stats, SubGroups, Tolerance, devices, files,
    freezer_v1 as freezer,
    limits::{self, Limit},
    limits_v1, refuse_busy, refuse_frozen, stats_v1, sub,
};
use sampan_types::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// What the root of a user namespace may write to: moving its own tasks.
const DELEGATED: [&str; 2] = ["cgroup.procs", "tasks"];
/// The same of version 2 (`/sys/kernel/cgroup/delegate`).
const DELEGATED_UNIFIED: [&str; 3] = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"];

/// A group in each version 1 hierarchy, and in version 2 where that is mounted.
#[derive(Debug)]
pub(super) struct Hybrid {
    groups: Vec<Group>,
    unified: Option<PathBuf>,
    tolerance: Tolerance,
    shared: bool,
}

#[derive(Debug)]
struct Group {
    /// As in `/proc/self/cgroup`.
    controllers: String,
    directory: PathBuf,
}

impl Group {
    fn has(&self, controller: &str) -> bool {
        self.controllers.split(',').any(|own| own == controller)
    }
}

impl Hybrid {
    pub(super) fn new(layout: &Layout, path: &str, tolerance: Tolerance, shared: bool) -> Self {
        let group = |own: &super::Hierarchy| Group {
            controllers: own.controllers.clone(),
            directory: own.directory(path),
        };
        Self {
            groups: layout.v1.iter().map(group).collect(),
            unified: layout.unified.as_ref().map(|own| layout.unified_directory(own, path)),
            tolerance,
            shared,
        }
    }

    fn directories(&self) -> impl Iterator<Item = &Path> {
        self.groups.iter().map(|own| &own.directory).chain(&self.unified).map(PathBuf::as_path)
    }

    fn with(&self, controller: &str) -> Option<&Path> {
        self.groups.iter().find(|own| own.has(controller)).map(|own| own.directory.as_path())
    }

    /// Makes one directory; `false` where there is no permission and none is needed.
    fn make(&self, controllers: &str, directory: &Path) -> Result<bool> {
        let made = match files::make(directory) {
            Ok(made) => made,
            Err(error) if error.kind() == ErrorKind::PermissionDenied && self.tolerance.allows() => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        if made.is_empty() && !self.shared {
            refuse_busy(directory)?;
            if controllers == "freezer" {
                refuse_frozen(directory, freezer::is_frozen(directory)?)?;
            }
        }
        // A new group has no processors and no memory nodes, and cannot be entered.
        if controllers.split(',').any(|own| own == "cpuset") {
            made.iter().try_for_each(|directory| inherit_cpuset(directory, false))?;
            if made.is_empty() {
                inherit_cpuset(directory, true)?;
            }
        }
        Ok(true)
    }

    fn make_all(&mut self) -> Result<Vec<String>> {
        let mut left_out = Vec::new();
        for group in &self.groups {
            if !self.make(&group.controllers, &group.directory)? {
                left_out.push(group.controllers.clone());
            }
        }
        if let Some(directory) = &self.unified
            && !self.make("", directory)?
        {
            left_out.push(String::new());
            self.unified = None;
        }
        self.groups.retain(|own| !left_out.contains(&own.controllers));
        Ok(left_out)
    }

    fn write(&self, limits: Limits<'_>, keep_old: bool) -> Result<()> {
        if !limits.resources.unified.is_empty() {
            return Err(crate::error::invalid(
                "invalid configuration: cgroup v2 unified resources",
                "this host's controllers are in cgroup v1 hierarchies",
            ));
        }
        let bfq = || self.with("blkio").is_some_and(|directory| !directory.join("blkio.weight").exists());
        let writes = limits_v1::limits(limits.resources, bfq)?;
        // Checked before anything is written.
        writes.iter().try_for_each(|limit| self.directory(limit).map(drop))?;
        let devices = limits.devices.map(devices::rules).transpose()?;
        limits::write_all(&writes, |limit| self.directory(limit), keep_old)?;
        match (devices, self.with("devices")) {
            (Some(rules), Some(directory)) => {
                self.restrict_devices(directory, &rules, !keep_old && !self.shared)
            }
            (Some(_), None) if !limits.resources.devices.is_empty() && !super::unprivileged() => {
                Err(Error::new(ErrorKind::Unsupported, "cannot restrict devices")
                    .because("this host has no devices controller"))
            }
            _ => Ok(()),
        }
    }

    fn directory(&self, limit: &Limit) -> Result<&Path> {
        self.with(&limit.controller).ok_or_else(|| {
            if self.tolerance.allows() {
                let what = format!(
                    "cannot set {} limit: container could not join or create cgroup",
                    limit.controller
                );
                return Error::new(ErrorKind::PermissionDenied, what)
                    .because(format!("{} is asked to be {}", limit.file, limit.value))
                    .hint("limits need a delegated control group");
            }
            Error::new(ErrorKind::Unsupported, format!("cannot set {}", limit.file))
                .because(format!("this host has no {} controller", limit.controller))
        })
    }

    /// Only the difference is written. A change that must deny everything for a moment is made while nothing in the
    /// group runs. A `new` group has what the one above it has, at most everything, and nobody in it.
    fn restrict_devices(&self, directory: &Path, rules: &[devices::Rule], new: bool) -> Result<()> {
        let list = if new { devices::EVERYTHING.to_owned() } else { files::read(directory, "devices.list")? };
        let change = devices::change(&list, rules)?;
        let runs = !new && change.denies_all && !files::pids(directory)?.is_empty() && !self.frozen()?;
        if runs {
            self.freeze(true)?;
        }
        let written = write_change(directory, &change);
        if runs {
            self.freeze(false)?;
        }
        match written {
            // Nobody may change device rules from within a user namespace; nor has anybody there devices to be kept from.
            Err(error) if error.kind() == ErrorKind::PermissionDenied && super::unprivileged() => Ok(()),
            written => written,
        }
    }

    /// The hierarchy to list processes by: the freezer's where there is one, so that what is listed can be stopped.
    fn listed(&self) -> Option<&Path> {
        self.with("freezer").or_else(|| self.directories().next())
    }
}

fn write_change(directory: &Path, change: &devices::Change) -> Result<()> {
    let (allow, deny) = (directory.join("devices.allow"), directory.join("devices.deny"));
    files::write_lines(&deny, change.reset.iter().map(String::as_str))?;
    files::write_lines(&allow, change.allow.iter().map(String::as_str))?;
    files::write_lines(&deny, change.deny.iter().map(String::as_str))
}

/// Gives a group its parent's processors and memory nodes: a new one, or one that somebody made in advance (`may_have`) where
/// it has none. A parent that has none yet is just being made by somebody else, and gets its own first.
fn inherit_cpuset(directory: &Path, may_have: bool) -> Result<()> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if may_have && files::value(&directory.join(file))?.is_some_and(|own| !own.is_empty()) {
            continue;
        }
        let of_parent = || files::value(&parent.join(file)).map(Option::unwrap_or_default);
        let mut value = of_parent()?;
        if value.is_empty() {
            inherit_cpuset(parent, true)?;
            value = of_parent()?;
        }
        files::write(directory, file, &value)?;
    }
    Ok(())
}

impl CgroupManager for Hybrid {
    fn create(&mut self, limits: Limits<'_>) -> Result<Vec<String>> {
        let made = self.make_all().and_then(|left_out| self.write(limits, false).map(|()| left_out));
        match made {
            // Somebody else's.
            Err(error) if error.kind() == ErrorKind::Conflict => Err(error),
            Err(error) => {
                // The first failure is the one to tell.
                let _ = self.delete();
                Err(error)
            }
            made => made,
        }
    }

    fn refuse_used(&self) -> Result<()> {
        self.directories().try_for_each(refuse_busy)?;
        match self.with("freezer") {
            Some(directory) => refuse_frozen(directory, freezer::is_frozen(directory)?),
            None => Ok(()),
        }
    }

    fn apply(&self, limits: Limits<'_>) -> Result<()> {
        self.write(limits, true)
    }

    fn delegate(&self, uid: u32, gid: u32) -> Result<()> {
        self.groups.iter().try_for_each(|own| files::give(&own.directory, &DELEGATED, uid, gid))?;
        self.unified.iter().try_for_each(|directory| files::give(directory, &DELEGATED_UNIFIED, uid, gid))
    }

    fn entry(&self, sub: &SubGroups) -> Result<Entry> {
        let mut entry = Entry::default();
        let below = |controllers: &str, directory: &Path| match sub.is_empty() {
            true => Ok(directory.to_path_buf()),
            false => sub.directory(controllers, directory),
        };
        sub.require(self.groups.iter().map(|own| own.controllers.as_str()))?;
        for group in &self.groups {
            let directory = below(&group.controllers, &group.directory)?;
            let added = entry.add(group.controllers.trim_start_matches("name="), &directory);
            added.map_err(|error| if sub.is_empty() { error } else { sub::cannot_add(&directory, error) })?;
        }
        if let Some(unified) = &self.unified {
            // Version 2 has no controllers here, and a group below only where it was made.
            let directory = if sub.is_empty() { None } else { below("", unified).ok() };
            let directory = directory.filter(|directory| directory.exists());
            entry.set_directory(directory.as_deref().unwrap_or(unified))?;
        }
        Ok(entry)
    }

    fn pids(&self) -> Result<Vec<i32>> {
        self.listed().map_or(Ok(Vec::new()), files::pids)
    }

    fn kill_all(&self) -> Result<()> {
        let Some(directory) = self.listed() else { return Ok(()) };
        if files::pids(directory)?.is_empty() {
            return Ok(());
        }
        let freezer = self.with("freezer");
        // While all are stopped none is forked unseen. What does not stop in time is killed all the same.
        if let Some(freezer) = freezer {
            let _ = freezer::freeze(freezer, freezer::SHORT);
        }
        let killed = files::kill(directory);
        // A stopped process dies only when it goes on.
        freezer.map_or(Ok(()), freezer::thaw).and(killed)?;
        files::kill(directory)
    }

    fn freeze(&self, frozen: bool) -> Result<()> {
        let Some(directory) = self.with("freezer") else {
            return Err(Error::new(ErrorKind::Unsupported, "cannot pause")
                .because("this host has no freezer controller"));
        };
        if frozen { freezer::freeze(directory, freezer::LONG) } else { freezer::thaw(directory) }
    }

    fn frozen(&self) -> Result<bool> {
        self.with("freezer").map_or(Ok(false), freezer::is_frozen)
    }

    fn stats(&self) -> Result<Stats> {
        Ok(stats_v1::read(|controller| self.with(controller)))
    }

    fn oom_kills(&self) -> Result<u64> {
        let text =
            self.with("memory").and_then(|directory| files::read_present(directory, "memory.oom_control"));
        Ok(text.and_then(|text| files::keyed(&text, "oom_kill")).unwrap_or_default())
    }

    fn oom_watch(&self) -> Result<OomWatch> {
        match self.with("memory") {
            Some(directory) => OomWatch::of_version_1(directory),
            None => Err(Error::new(ErrorKind::NotFound, "cannot watch for memory running out")
                .because("this host has no memory controller")),
        }
    }

    fn delete(&self) -> Result<()> {
        self.directories().try_for_each(files::remove)
    }
}
