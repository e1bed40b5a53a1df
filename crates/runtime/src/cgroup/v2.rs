//! Version 2 alone: one hierarchy for all controllers.

use super::{
    CgroupManager, Entry, Limits, OomWatch, Stats, SubGroups, Tolerance, devices, files,
    limits::{self, Limit},
    limits_v2, refuse_busy, refuse_frozen, stats_v2, sub,
};
use crate::error::Cannot;
use rustix::fs::{Mode, OFlags};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    os::fd::AsFd,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// What the root of a user namespace may write to (`/sys/kernel/cgroup/delegate`).
const DELEGATED: [&str; 4] = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group"];

/// Controllers a container has where the host has them, so that there is accounting and `update` works. Others are
/// handed down when a limit needs them.
const WANTED: [&str; 4] = ["cpu", "memory", "pids", "io"];

/// How long a container that is to be paused may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A group of version 2.
#[derive(Debug)]
pub(super) struct Unified {
    mount: PathBuf,
    directory: PathBuf,
    tolerance: Tolerance,
    shared: bool,
    /// There is none, for want of permission.
    absent: bool,
}

impl Unified {
    pub(super) fn new(mount: PathBuf, directory: PathBuf, tolerance: Tolerance, shared: bool) -> Self {
        Self { mount, directory, tolerance, shared, absent: false }
    }

    /// A group has the controllers that the one above it hands down; each level from the root on must.
    fn hand_down(&self, parent: &Path, wanted: &[&str]) -> Result<()> {
        let down = files::read(parent, "cgroup.subtree_control")?;
        let missing: Vec<_> = wanted.iter().filter(|name| !has(&down, name)).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        if parent != self.mount
            && let Some(above) = parent.parent()
        {
            self.hand_down(above, &missing)?;
        }
        let available = files::read(parent, "cgroup.controllers")?;
        let present = missing.iter().filter(|name| has(&available, name));
        let line = present.map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
        if line.is_empty() { Ok(()) } else { files::write(parent, "cgroup.subtree_control", &line) }
    }

    fn require(&self, controllers: &[&str]) -> Result<()> {
        let Some(parent) = self.directory.parent() else { return Ok(()) };
        self.hand_down(parent, controllers)
    }

    /// Makes the directory; `false` where there is no permission and none is needed.
    fn make(&self, limits: Limits<'_>) -> Result<bool> {
        match files::make(&self.directory) {
            Ok(made) if made.is_empty() && !self.shared => self.refuse_used().map(|()| true),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::PermissionDenied && self.tolerance.allows() => {
                match limits::asked(limits.resources) {
                    None => Ok(false),
                    Some(name) => {
                        let what = "rootless needs no limits + no cgrouppath when no permission is granted for cgroups";
                        Err(Error::new(error.kind(), what)
                            .because(format!(
                                "{name} limits are asked for: {error}: {}",
                                error.causes().join(": ")
                            ))
                            .hint("use the systemd driver, or a delegated control group"))
                    }
                }
            }
            Err(error) => Err(error),
        }
    }

    fn write(&self, limits: Limits<'_>, keep_old: bool) -> Result<()> {
        let writes = limits_v2::limits(limits.resources, &self.directory)?;
        let devices = limits.devices.map(devices::rules).transpose()?;
        // What is wanted by default is there where it can be.
        let known = |name: &&str| *name != "cgroup" && !WANTED.contains(name);
        let mut controllers: Vec<&str> =
            writes.iter().map(|limit| &*limit.controller).filter(known).collect();
        controllers.dedup();
        if !controllers.is_empty() {
            self.require(&controllers)?;
        }
        limits::write_all(&writes, |_| Ok(&self.directory), keep_old)
            .map_err(|error| self.explain(&writes, error))?;
        devices.map_or(Ok(()), |rules| self.restrict_devices(&rules))
    }

    /// A limit without its controller: why the groups above do not hand it down.
    fn explain(&self, writes: &[Limit], error: Error) -> Error {
        if error.kind() != ErrorKind::Unsupported {
            return error;
        }
        let available = files::read_present(&self.directory, "cgroup.controllers").unwrap_or_default();
        let missing = writes
            .iter()
            .map(|limit| &*limit.controller)
            .find(|name| *name != "cgroup" && !has(&available, name));
        let Some(missing) = missing else { return error };
        let why = match self.require(&[missing]) {
            Err(refused) => format!("{refused}: {}", refused.causes().join(": ")),
            Ok(()) => format!("controller {missing:?} not available in {}", self.directory.display()),
        };
        Error::new(ErrorKind::Unsupported, error.to_string()).because(why)
    }

    fn restrict_devices(&self, rules: &[devices::Rule]) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&self.directory, flags, Mode::empty())
            .cannot(|| format!("open {}", self.directory.display()))?;
        let program = devices::program(rules);
        match sampan_sys::bpf::replace_device_program(directory.as_fd(), &program) {
            Ok(()) => Ok(()),
            // Whoever may not load a program cannot make devices either.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && super::unprivileged() => {
                Ok(())
            }
            Err(error) => Err(Error::io("cannot restrict devices by a BPF program", error)
                .hint("this needs a kernel with CONFIG_CGROUP_BPF, and CAP_BPF")),
        }
    }
}

fn has(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|word| word == name)
}

impl CgroupManager for Unified {
    fn create(&mut self, limits: Limits<'_>) -> Result<Vec<String>> {
        if !self.make(limits)? {
            self.absent = true;
            return Ok(vec![String::new()]);
        }
        // A parent that cannot hand these down is no failure: a limit that lacks its controller is, and says why.
        let _ = self.require(&WANTED);
        self.write(limits, false).inspect_err(|_| {
            // The first failure is the one to tell.
            let _ = self.delete();
        })?;
        Ok(Vec::new())
    }

    fn refuse_used(&self) -> Result<()> {
        refuse_busy(&self.directory)?;
        // One that is empty shows what was written, not what has come of it.
        let freeze = files::read_present(&self.directory, "cgroup.freeze");
        refuse_frozen(&self.directory, freeze.is_some_and(|text| text.trim() == "1"))
    }

    fn apply(&self, limits: Limits<'_>) -> Result<()> {
        self.write(limits, true)
    }

    fn delegate(&self, uid: u32, gid: u32) -> Result<()> {
        if self.absent { Ok(()) } else { files::give(&self.directory, &DELEGATED, uid, gid) }
    }

    fn entry(&self, sub: &SubGroups) -> Result<Entry> {
        if self.absent {
            return Ok(Entry::default());
        }
        if sub.is_empty() {
            return Ok(Entry::of_version_2(Some(files::open(&self.directory)?)));
        }
        sub.require(std::iter::empty())?;
        let directory = sub.directory("", &self.directory)?;
        let opened = files::open(&directory).map_err(|error| sub::cannot_add(&directory, error))?;
        Ok(Entry::of_version_2(Some(opened)))
    }

    fn pids(&self) -> Result<Vec<i32>> {
        files::pids(&self.directory)
    }

    fn kill_all(&self) -> Result<()> {
        match files::write(&self.directory, "cgroup.kill", "1") {
            Ok(()) => {}
            // Before Linux 5.14, or the group is gone.
            Err(error) if error.kind() == ErrorKind::NotFound => files::kill(&self.directory)?,
            Err(error) => return Err(error),
        }
        // What is dead is not paused.
        if self.frozen()? { self.freeze(false) } else { Ok(()) }
    }

    fn freeze(&self, frozen: bool) -> Result<()> {
        if frozen && !self.directory.join("cgroup.freeze").exists() {
            return Err(Error::new(ErrorKind::NotFound, "cannot pause or resume")
                .because(format!("the control group {} is gone", self.directory.display())));
        }
        files::write(&self.directory, "cgroup.freeze", if frozen { "1" } else { "0" })?;
        let (begun, mut pause) = (Instant::now(), Duration::from_micros(20));
        while begun.elapsed() < PATIENCE {
            if self.frozen()? == frozen {
                return Ok(());
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
        files::write(&self.directory, "cgroup.freeze", "0")?;
        Err(Error::new(ErrorKind::Internal, format!("cannot pause {}", self.directory.display()))
            .because(format!("processes did not stop within {} ms", PATIENCE.as_millis())))
    }

    fn frozen(&self) -> Result<bool> {
        let events = files::read_present(&self.directory, "cgroup.events");
        Ok(events.and_then(|text| files::keyed(&text, "frozen")) == Some(1))
    }

    fn stats(&self) -> Result<Stats> {
        Ok(stats_v2::read(&self.directory))
    }

    fn oom_kills(&self) -> Result<u64> {
        let text = files::read_present(&self.directory, "memory.events");
        Ok(text.and_then(|text| files::keyed(&text, "oom_kill")).unwrap_or_default())
    }

    fn oom_watch(&self) -> Result<OomWatch> {
        OomWatch::of_version_2(&self.directory)
    }

    fn delete(&self) -> Result<()> {
        files::remove(&self.directory)
    }
}
