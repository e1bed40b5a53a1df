//! One verb at a time on one container, and markers of verbs that are under way.

use rustix::fs::{FlockOperation, flock};
use sampan_types::{ContainerId, Error, ErrorKind, Result};
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

/// A container's lock; held until dropped, gone with the process.
pub(crate) struct ContainerLock {
    _dir: File,
}

/// Waits for the lock on a container's folder.
///
/// # Errors
/// [`ErrorKind::NotFound`] where the container has gone meanwhile.
pub(crate) fn lock(dir: &Path) -> Result<ContainerLock> {
    loop {
        let file = open(dir)?;
        flock(&file, FlockOperation::LockExclusive).map_err(|errno| failed(dir, errno.into()))?;
        if is_still(&file, dir) {
            return Ok(ContainerLock { _dir: file });
        }
    }
}

/// Takes the lock where it is free; `None` where somebody is at work on the container, or it has gone.
pub(crate) fn try_lock(dir: &Path) -> Option<ContainerLock> {
    let file = open(dir).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    is_still(&file, dir).then_some(ContainerLock { _dir: file })
}

fn open(dir: &Path) -> Result<File> {
    File::open(dir).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            let name = dir.file_name().unwrap_or_default().to_string_lossy();
            Error::new(ErrorKind::NotFound, format!("no such container: {name}"))
                .because("it was removed meanwhile")
        }
        _ => failed(dir, source),
    })
}

fn failed(dir: &Path, source: std::io::Error) -> Error {
    Error::io(format!("cannot lock {}", dir.display()), source)
}

/// Whether the folder at this path is still the one that was locked, not a removed one.
fn is_still(file: &File, dir: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), dir.metadata()) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// What an interrupted verb leaves to be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// The container was about to come into being: it goes.
    Create,
    /// It was being started: it stays, and what it had begun at run time goes.
    Start,
    /// It was being removed: it goes.
    Remove,
}

/// The marker `<run>/pending/<id>` of a verb that is under way. A process that is killed leaves it behind, and the next
/// command finds it without looking at every container.
///
/// Whoever is at the verb holds a lock on the marker, so that nobody takes him for dead.
pub(crate) struct Pending {
    path: PathBuf,
    _held: File,
}

impl Pending {
    /// Sets the marker.
    pub(crate) fn begin(run: &Path, id: &ContainerId, verb: Verb) -> Result<Self> {
        let dir = run.join("pending");
        let path = dir.join(id.as_str());
        let word = match verb {
            Verb::Create => "create",
            Verb::Start => "start",
            Verb::Remove => "remove",
        };
        let failed = |source| Error::io(format!("cannot write {}", path.display()), source);
        let open = || File::options().create(true).truncate(true).write(true).open(&path);
        loop {
            let mut held = open()
                .or_else(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => std::fs::create_dir_all(&dir).and_then(|()| open()),
                    _ => Err(error),
                })
                .map_err(failed)?;
            flock(&held, FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
            // A sweep may have taken it away before it was locked.
            if is_still(&held, &path) {
                held.write_all(word.as_bytes()).map_err(failed)?;
                return Ok(Self { path, _held: held });
            }
        }
    }

    /// Takes the marker away: the verb is complete, or undone.
    pub(crate) fn end(self) -> Result<()> {
        remove(&self.path)
    }

    /// Verbs that have a marker and whose process is gone, each with its container.
    pub(crate) fn all(run: &Path) -> Vec<(ContainerId, Verb, Self)> {
        let Ok(entries) = std::fs::read_dir(run.join("pending")) else {
            return Vec::new();
        };
        let parse = |entry: std::fs::DirEntry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let held = File::open(entry.path()).ok()?;
            flock(&held, FlockOperation::NonBlockingLockExclusive).ok()?;
            let verb = match std::fs::read_to_string(entry.path()).ok()?.as_str() {
                "create" => Verb::Create,
                "remove" => Verb::Remove,
                // Also where nothing was written yet: then nothing was done yet.
                _ => Verb::Start,
            };
            Some((id, verb, Self { path: entry.path(), _held: held }))
        };
        entries.filter_map(|entry| parse(entry.ok()?)).collect()
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("cannot remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        assert!(try_lock(dir.path()).is_none());
        drop(held);
        assert!(try_lock(dir.path()).is_some());
    }

    #[test]
    fn a_missing_container_is_named() {
        let error = lock(Path::new("/nowhere/abc")).err().unwrap();
        assert_eq!(error.to_string(), "no such container: abc");
    }

    #[test]
    fn markers_are_found_again() {
        let run = tempfile::tempdir().unwrap();
        let id = ContainerId::from_bytes([1; 32]);
        let pending = Pending::begin(run.path(), &id, Verb::Create).unwrap();
        assert!(Pending::all(run.path()).is_empty(), "somebody is at it");
        drop(pending);
        let (found, verb, pending) = Pending::all(run.path()).remove(0);
        assert_eq!((found, verb), (id, Verb::Create));
        pending.end().unwrap();
        assert!(Pending::all(run.path()).is_empty());
    }
}
