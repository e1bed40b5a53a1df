//! What killed processes left behind is tidied by the next command.
//!
//! The sweep looks at three folders on tmpfs and at no container that is well: verbs that did not finish have a marker
//! in `pending`, dead shims an entry in `shims`, and a bundle without an entry belongs to nobody. Whatever somebody is
//! at work on is locked, and passed over.

use crate::{
    Engine, clean_up,
    lock::{self, Pending, Verb},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use sampan_types::{ContainerId, ErrorKind, Result};
use std::{collections::HashSet, path::Path};

impl Engine {
    /// Tidies after processes that are gone.
    pub(crate) fn sweep(&self) -> Result<()> {
        for (id, verb, pending) in Pending::all(&self.paths.run) {
            self.finish(&id, verb, pending)?;
        }
        let mut watched = HashSet::new();
        for name in names(&self.paths.shims()) {
            let Some((pid, id)) = parse_entry(&name) else { continue };
            if !lives(pid) {
                self.tidy_dead(&id)?;
                clean_up::remove_entry(&self.paths.shims().join(&name))?;
            }
            watched.insert(id);
        }
        for name in names(&self.paths.run.join("containers")) {
            if let Ok(id) = name.parse::<ContainerId>()
                && !watched.contains(&id)
            {
                self.tidy_dead(&id)?;
            }
        }
        Ok(())
    }

    /// Undoes or completes a verb whose process is gone.
    fn finish(&self, id: &ContainerId, verb: Verb, pending: Pending) -> Result<()> {
        let folder = self.paths.container(id);
        let lock = lock::try_lock(&folder);
        if lock.is_none() && folder.exists() {
            return Ok(());
        }
        match self.store.container(id.as_str()) {
            Ok(record) => match verb {
                Verb::Start => self.tidy(&record)?,
                Verb::Create | Verb::Remove => self.remove(&record)?,
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.forget(id)?;
            }
            Err(error) => return Err(error),
        }
        self.snapshots.sweep()?;
        pending.end()
    }

    fn tidy_dead(&self, id: &ContainerId) -> Result<()> {
        let Some(_lock) = lock::try_lock(&self.paths.container(id)) else {
            return match self.paths.container(id).exists() {
                true => Ok(()),
                false => self.forget(id),
            };
        };
        match self.store.container(id.as_str()) {
            Ok(record) => self.after_exit(&record),
            Err(error) if error.kind() == ErrorKind::NotFound => self.forget(id),
            Err(error) => Err(error),
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// `<pid>-<start>-<id>`
fn parse_entry(name: &str) -> Option<(i32, ContainerId)> {
    let mut parts = name.splitn(3, '-');
    let pid = parts.next()?.parse().ok()?;
    let _start = parts.next()?;
    Some((pid, parts.next()?.parse().ok()?))
}

/// Whether a process with this number runs: cheap enough for a thousand of them. That it is the right one is looked at
/// where a container itself is looked at.
fn lives(pid: i32) -> bool {
    let pidfd = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    // It is readable once the process has ended, though nobody may have waited for it yet.
    pidfd.is_some_and(|pidfd| {
        let mut entries = [PollFd::new(&pidfd, PollFlags::IN)];
        matches!(poll(&mut entries, Some(&Timespec::default())), Ok(0))
    })
}
