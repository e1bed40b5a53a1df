//! A container's state on disk: `<root>/<id>/` with `config.json` (the specification as it was when the container was created),
//! `state.json` (what else later commands need; written last, so where it is, all is there) and `gate`, where it waits to be started.
//!
//! A lock on the directory keeps commands apart. Who makes or removes a container has it alone; who only needs it to stay shares it; who
//! looks, or sends a signal, asks for none, so that hooks may do both. The kernel takes the lock from a command that is killed.

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, FlockOperation, Mode, OFlags, flock, mkdirat, openat, renameat, unlinkat},
    io::Errno,
};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a command waits for another one that makes or removes the same container.
const PATIENCE: Duration = Duration::from_secs(10);

/// The file that is there when a container is.
pub(super) const STATE: &str = "state.json";
/// The specification.
pub(super) const CONFIG: &str = "config.json";

/// Which lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// To look at it.
    None,
    /// To keep it as it is.
    Shared,
    /// To make or remove it.
    Alone,
}

/// An open state directory.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    directory: OwnedFd,
    locked: bool,
}

impl Place {
    /// Makes the directory of a new container, and those above it; locked.
    ///
    /// # Errors
    /// `container with given ID already exists`, and for an id that cannot be one.
    pub(super) fn make(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        let path = root.join(id);
        // A second try where the root is missing, or where what a killed command has left was in the way.
        for _ in 0..2 {
            match mkdirat(rustix::fs::CWD, &path, Mode::from_raw_mode(0o711)) {
                Ok(()) => {
                    return Self::at(path.clone()).and_then(|place| place.lock(Lock::Alone)).inspect_err(
                        |_| {
                            // The first failure is the one to tell; the directory is still empty.
                            let _ = rustix::fs::rmdir(&path);
                        },
                    );
                }
                Err(Errno::NOENT) => make_root(root)?,
                Err(Errno::EXIST) => {
                    return Err(Error::new(
                        ErrorKind::AlreadyExists,
                        "container with given ID already exists",
                    ));
                }
                Err(errno) => return Err(Error::io(format!("mkdir {}", path.display()), errno.into())),
            }
        }
        Err(Error::io(format!("mkdir {}", path.display()), Errno::NOENT.into()))
    }

    /// Opens the directory of a container that is there.
    ///
    /// # Errors
    /// `container does not exist`, and for an id that cannot be one.
    pub(super) fn open(root: &Path, id: &str, lock: Lock) -> Result<Self> {
        let place = Self::open_any(root, id)?;
        let exists =
            || rustix::fs::accessat(&place.directory, STATE, rustix::fs::Access::EXISTS, AtFlags::empty());
        // Before the lock: who creates it may be a long time about it, with hooks that call this very program.
        exists().map_err(|errno| match errno {
            Errno::NOENT => missing(),
            errno => Error::io(format!("open {}", place.path.join(STATE).display()), errno.into()),
        })?;
        let place = place.lock(lock)?;
        Ok(place)
    }

    /// Opens a directory that may be half made or half removed. The lock is not taken.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn open_any(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        Self::at(root.join(id))
    }

    fn at(path: PathBuf) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(directory) => Ok(Self { path, directory, locked: false }),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(missing()),
            Err(errno) => Err(Error::io(format!("open {}", path.display()), errno.into())),
        }
    }

    /// Takes a lock, waiting for who has it.
    ///
    /// # Errors
    /// When that takes too long.
    pub(super) fn lock(mut self, lock: Lock) -> Result<Self> {
        let operation = match lock {
            Lock::None => return Ok(self),
            Lock::Shared => FlockOperation::NonBlockingLockShared,
            Lock::Alone => FlockOperation::NonBlockingLockExclusive,
        };
        let end = Instant::now() + PATIENCE;
        loop {
            match flock(&self.directory, operation) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(2))
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        "another command is at work on the container",
                    )
                    .because(format!("{} is locked", self.path.display())));
                }
                Err(errno) => return Err(Error::io(format!("lock {}", self.path.display()), errno.into())),
            }
        }
        self.locked = true;
        Ok(self)
    }

    /// Lets others look at it and enter it, but not remove it.
    pub(super) fn share(&self) {
        // Nobody else can have it now, so this neither waits nor fails.
        let _ = flock(&self.directory, FlockOperation::LockShared);
    }

    /// Lets others at it, before this place is dropped: a child that was cloned meanwhile holds the lock too.
    pub(super) fn unlock(&mut self) {
        if std::mem::take(&mut self.locked) {
            // The end of the process would do the same.
            let _ = flock(&self.directory, FlockOperation::Unlock);
        }
    }

    /// A path below it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether there is a file of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// The user it belongs to.
    pub(super) fn owner(&self) -> Result<u32> {
        rustix::fs::fstat(&self.directory)
            .map(|stat| stat.st_uid)
            .map_err(|errno| Error::io(format!("stat {}", self.path.display()), errno.into()))
    }

    /// Reads a file of it.
    ///
    /// # Errors
    /// `container does not exist` where it is missing.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let failed = |errno: std::io::Error| match Errno::from_io_error(&errno) {
            Some(Errno::NOENT) => missing(),
            _ => Error::io(format!("read {}", self.path(name).display()), errno),
        };
        let file = openat(&self.directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let mut bytes = Vec::new();
        File::from(file.map_err(|errno| failed(errno.into()))?).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// Writes a file of it that nobody reads yet.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let file = openat(&self.directory, name, flags, Mode::from_raw_mode(0o600));
        file.map_err(std::io::Error::from)
            .and_then(|file| File::from(file).write_all(bytes))
            .map_err(|error| Error::io(format!("write {}", self.path(name).display()), error))
    }

    /// Writes a file of it whole, or not at all.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let new = format!("{name}.new");
        self.write(&new, bytes)?;
        renameat(&self.directory, &new, &self.directory, name)
            .map_err(|errno| Error::io(format!("write {}", self.path(name).display()), errno.into()))
    }

    /// Removes it. What says that there is a container goes last but the directory.
    pub(super) fn remove(self) -> Result<()> {
        let failed =
            |errno: Errno| Error::io(format!("remove {}", self.path.display()), std::io::Error::from(errno));
        for name in [CONFIG, STATE] {
            match unlinkat(&self.directory, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        match rustix::fs::rmdir(&self.path) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            // A gate, or what a killed command has left: the directory is the container's alone.
            Err(Errno::NOTEMPTY | Errno::EXIST) => std::fs::remove_dir_all(&self.path)
                .map_err(|error| Error::io(format!("remove {}", self.path.display()), error)),
            Err(errno) => Err(failed(errno)),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.unlock();
    }
}

/// No container has this id.
pub(super) fn missing() -> Error {
    Error::new(ErrorKind::NotFound, "container does not exist")
}

fn make_root(root: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)
        .map_err(|error| Error::io(format!("mkdir {}", root.display()), error))
}

/// Letters, digits, `_`, `+`, `-` and `.`; an id is one component of a path.
fn check_id(id: &str) -> Result<()> {
    let refused = |what: &str| Err(Error::new(ErrorKind::InvalidInput, what));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    match id {
        "" => refused("container id cannot be empty"),
        "." | ".." => refused("invalid container ID format"),
        id if id.bytes().all(allowed) => Ok(()),
        _ => refused("invalid container ID format"),
    }
}

#[cfg(test)]
mod tests;
