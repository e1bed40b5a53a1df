//! Version 2 alone: one hierarchy for all controllers.

use super::{CgroupManager, Entry, Hierarchy, Stats, devices, files, limits_v2, refuse_busy};
use crate::error::Cannot;
use rustix::fs::{Mode, OFlags};
use sampan_types::{Error, ErrorKind, Result, spec::Resources};
use std::{
    os::fd::AsFd,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// What the root of a user namespace may write to (`/sys/kernel/cgroup/delegate`).
const DELEGATED: [&str; 4] = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group"];

/// Controllers a container has where the host has them, so that there is accounting and `update` works.
const WANTED: [&str; 4] = ["cpu", "memory", "pids", "io"];

/// A group of version 2.
#[derive(Debug)]
pub(super) struct Unified {
    mount: PathBuf,
    directory: PathBuf,
}

impl Unified {
    pub(super) fn new(hierarchy: &Hierarchy, path: &str) -> Self {
        Self { mount: hierarchy.mount.clone(), directory: hierarchy.directory(path) }
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

    fn restrict_devices(&self, resources: &Resources) -> Result<()> {
        let Some(program) = devices::program(&resources.devices)? else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&self.directory, flags, Mode::empty())
            .cannot(|| format!("open {}", self.directory.display()))?;
        sampan_sys::bpf::replace_device_program(directory.as_fd(), &program).map_err(|error| {
            Error::io("cannot restrict devices by a BPF program", error)
                .hint("this needs a kernel with CONFIG_CGROUP_BPF, and CAP_BPF")
        })
    }

    fn exists(&self) -> bool {
        self.directory.join("cgroup.procs").exists()
    }
}

fn has(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|word| word == name)
}

impl CgroupManager for Unified {
    fn create(&self) -> Result<()> {
        let made = files::make(&self.directory)?;
        if made.is_empty() {
            refuse_busy(&self.directory)?;
            if self.frozen()? {
                return Err(Error::new(ErrorKind::Conflict, "container's cgroup unexpectedly frozen")
                    .because(self.directory.display().to_string()));
            }
        }
        self.require(&WANTED).inspect_err(|_| {
            // The first failure is the one to tell.
            let _ = self.delete();
        })
    }

    fn apply(&self, resources: &Resources) -> Result<()> {
        let limits = limits_v2::limits(resources)?;
        let mut controllers: Vec<&str> = limits
            .iter()
            .filter_map(|(file, _)| file.split('.').next())
            .filter(|name| *name != "cgroup" && !WANTED.contains(name))
            .collect();
        controllers.dedup();
        self.require(&controllers)?;
        for (file, value) in &limits {
            match files::write(&self.directory, file, value) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    // Without swap in the kernel there is none to limit.
                    if file == "memory.swap.max" {
                        continue;
                    }
                    return Err(Error::new(ErrorKind::Unsupported, format!("cannot set {file}"))
                        .because("this host's kernel, or the group above, has no such controller"));
                }
                result => result?,
            }
        }
        self.restrict_devices(resources)
    }

    fn delegate(&self, uid: u32, gid: u32) -> Result<()> {
        files::give(&self.directory, &DELEGATED, uid, gid)
    }

    fn entry(&self) -> Result<Entry> {
        Ok(Entry { directory: Some(files::open(&self.directory)?), tasks: Vec::new() })
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
        files::write(&self.directory, "cgroup.freeze", if frozen { "1" } else { "0" })?;
        for _ in 0..2000 {
            if self.frozen()? == frozen {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
        files::write(&self.directory, "cgroup.freeze", "0")?;
        Err(Error::new(ErrorKind::Internal, format!("cannot pause {}", self.directory.display()))
            .because("processes did not stop within two seconds"))
    }

    fn frozen(&self) -> Result<bool> {
        if !self.exists() {
            return Ok(false);
        }
        files::number(&self.directory, "cgroup.events", Some("frozen")).map(|frozen| frozen == 1)
    }

    fn stats(&self) -> Result<Stats> {
        let read = |file, key| match self.directory.join(file).exists() {
            true => files::number(&self.directory, file, key),
            false => Ok(0),
        };
        Ok(Stats {
            cpu_ns: read("cpu.stat", Some("usage_usec"))?.saturating_mul(1000),
            memory_bytes: read("memory.current", None)?,
            pids: read("pids.current", None)?,
        })
    }

    fn oom_kills(&self) -> Result<u64> {
        match self.directory.join("memory.events").exists() {
            true => files::number(&self.directory, "memory.events", Some("oom_kill")),
            false => Ok(0),
        }
    }

    fn delete(&self) -> Result<()> {
        files::remove(&self.directory)
    }
}
