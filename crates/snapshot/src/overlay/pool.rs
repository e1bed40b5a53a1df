//! The pool's directories: where a snapshot stands, how it gets there whole and leaves whole.

use crate::SnapshotKind;
use rustix::fs::{CWD, FlockOperation, RenameFlags, XattrFlags, flock, fsetxattr, fstatfs, renameat_with};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// Where to look for a key, the most frequent first.
pub(super) const KINDS: [SnapshotKind; 3] =
    [SnapshotKind::Committed, SnapshotKind::Active, SnapshotKind::View];

/// `OVERLAYFS_SUPER_MAGIC` and `NFS_SUPER_MAGIC` of linux/magic.h: overlayfs refuses them as upper directories.
const UNFIT: [(u64, &str); 2] = [(0x794c_7630, "overlayfs"), (0x6969, "NFS")];

#[derive(Debug)]
pub(super) struct Pool {
    root: PathBuf,
}

impl Pool {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The directory of a snapshot.
    pub(super) fn place(&self, kind: SnapshotKind, key: &str) -> PathBuf {
        self.directory(kind).join(key)
    }

    fn directory(&self, kind: SnapshotKind) -> PathBuf {
        self.root.join(match kind {
            SnapshotKind::Committed => "layers",
            SnapshotKind::Active => "active",
            SnapshotKind::View => "views",
        })
    }

    /// The kind of the snapshot with this key; `None` where there is none.
    pub(super) fn find(&self, key: &str) -> Result<Option<SnapshotKind>> {
        for kind in KINDS {
            let place = self.place(kind, key);
            match fs::symlink_metadata(&place) {
                Ok(_) => return Ok(Some(kind)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(format!("cannot look at {}", place.display()), error)),
            }
        }
        Ok(None)
    }

    /// Keys of all snapshots of a kind.
    pub(super) fn keys(&self, kind: SnapshotKind) -> Result<Vec<String>> {
        let directory = self.directory(kind);
        let list = || -> io::Result<Vec<String>> {
            fs::read_dir(&directory)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        };
        match list() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => {
                listed.map_err(|error| Error::io(format!("cannot list {}", directory.display()), error))
            }
        }
    }

    /// All ancestors, the nearest first.
    pub(super) fn parents(&self, kind: SnapshotKind, key: &str) -> Result<Vec<String>> {
        let path = self.place(kind, key).join("parents");
        let text = fs::read_to_string(&path)
            .map_err(|error| Error::io(format!("cannot read {}", path.display()), error))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Writes down the ancestors of a snapshot that is being made.
    pub(super) fn write_parents(&self, building: &Path, parents: &[String]) -> io::Result<()> {
        let mut text = parents.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        fs::write(building.join("parents"), text)
    }

    /// Moves a complete snapshot to where its key leads; fails where the key is taken.
    pub(super) fn settle(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
    }

    /// A fresh path for a snapshot to be made at.
    pub(super) fn unfinished(&self) -> Result<PathBuf> {
        self.fresh("tmp")
    }

    /// A fresh path for a snapshot to be removed to.
    pub(super) fn trash(&self) -> Result<PathBuf> {
        self.fresh("trash")
    }

    fn fresh(&self, directory: &str) -> Result<PathBuf> {
        let number = getrandom::u64()
            .map_err(|error| Error::new(ErrorKind::Internal, "cannot get random numbers").because(error))?;
        Ok(self.root.join(directory).join(format!("{number:016x}")))
    }

    /// Deletes what no key leads to. What another process has already deleted is no failure.
    pub(super) fn discard(&self, path: &Path) -> Result<()> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io(format!("cannot delete {}", path.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// Deletes everything unfinished and everything half removed.
    pub(super) fn sweep(&self) -> Result<()> {
        if !self.root.exists() {
            return Ok(());
        }
        {
            // Nobody makes a snapshot now: whatever is unfinished stays so.
            let _lock = self.lock_exclusive()?;
            for unfinished in self.entries("tmp")? {
                fs::rename(&unfinished, self.trash()?).map_err(|error| {
                    Error::io(format!("cannot clear away {}", unfinished.display()), error)
                })?;
            }
        }
        self.entries("trash")?.iter().try_for_each(|path| self.discard(path))
    }

    fn entries(&self, directory: &str) -> Result<Vec<PathBuf>> {
        let directory = self.root.join(directory);
        fs::read_dir(&directory)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
            .map_err(|error| Error::io(format!("cannot list {}", directory.display()), error))
    }

    /// Keeps parents from being removed while the lock is held. Makes the pool where it is not there.
    pub(super) fn lock_shared(&self) -> Result<File> {
        self.lock(FlockOperation::LockShared)
    }

    /// Keeps snapshots from being made or committed while the lock is held.
    pub(super) fn lock_exclusive(&self) -> Result<File> {
        self.lock(FlockOperation::LockExclusive)
    }

    fn lock(&self, operation: FlockOperation) -> Result<File> {
        let path = self.root.join("lock");
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make()?,
            opened => opened.map_err(|error| Error::io(format!("cannot open {}", path.display()), error))?,
        };
        flock(&file, operation)
            .map_err(|error| Error::io(format!("cannot lock {}", path.display()), error.into()))?;
        Ok(file)
    }

    /// Makes the pool, after a look whether its filesystem will do. Gives the lock's file, which is made last.
    fn make(&self) -> Result<File> {
        let what = format!("cannot make the pool {}", self.root.display());
        let make = || -> io::Result<File> {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.root)?;
            File::open(&self.root)
        };
        let root = make().map_err(|error| Error::io(what.as_str(), error))?;
        let statistics = fstatfs(&root).map_err(|error| Error::io(what.as_str(), error.into()))?;
        let unfit = |why: String| {
            Error::new(ErrorKind::Unsupported, what.as_str())
                .because(why)
                .hint("--root on a filesystem such as ext4, xfs or btrfs")
        };
        if let Some((_, name)) = UNFIT.iter().find(|(magic, _)| *magic == statistics.f_type as u64) {
            return Err(unfit(format!("it is on {name}, on which overlayfs cannot write")));
        }
        match fsetxattr(&root, "user.sampan.pool", b"overlay", XattrFlags::empty()) {
            Err(rustix::io::Errno::NOTSUP) => {
                return Err(unfit("its filesystem has no extended attributes of users".into()));
            }
            result => result.map_err(|error| Error::io(what.as_str(), error.into()))?,
        }
        let fill = || -> io::Result<File> {
            for directory in ["layers", "active", "views", "tmp", "trash"] {
                make_directory(&self.root.join(directory))?;
            }
            File::options().create(true).truncate(false).write(true).open(self.root.join("lock"))
        };
        fill().map_err(|error| Error::io(what.as_str(), error))
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Refuses what would not be one plain name of a directory.
pub(super) fn check_key(key: &str) -> Result<()> {
    let first = key.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if first && rest && key.len() <= 128 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidInput, format!("invalid snapshot key {key:?}"))
        .because("only [A-Za-z0-9][A-Za-z0-9_.-] are allowed, at most 128 characters"))
}
