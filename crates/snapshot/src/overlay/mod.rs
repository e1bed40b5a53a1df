//! The overlay driver: each snapshot is a directory with what differs from its parent; the kernel's overlayfs joins them.
//!
//! ```text
//! <root>/snapshots/overlay/           the pool, 0700: the one directory that is id-mapped for containers
//!   layers/<key>/fs                   committed: the layer's files
//!   layers/<key>/parents              keys of all its ancestors, the nearest first, one a line
//!   active/<key>/fs, work, parents    overlay's upper and work directory
//!   views/<key>/parents
//!   tmp/<random>                      a snapshot being made; renamed into its place when complete
//!   trash/<random>                    a snapshot being removed; renamed out of its place first
//!   lock                              shared: a snapshot is made on a parent; exclusive: a parent is removed
//! ```
//!
//! Overlays are mounted inside the container's user namespace with `userxattr`, so an opaque directory has the attribute
//! `user.overlay.opaque`; a deleted file is a character device 0/0, as everywhere (Documentation/filesystems/overlayfs.rst).

mod pool;
mod usage;

#[cfg(test)]
mod tests;

use crate::{LayerTarget, Snapshot, SnapshotKind, Snapshotter, Usage};
use pool::{Pool, check_key};
use sampan_types::{Error, ErrorKind, Mount, Result};
use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
};

/// Snapshots on any filesystem that overlayfs accepts as upper directory: ext4, xfs, btrfs, tmpfs, …
#[derive(Debug)]
pub struct OverlaySnapshotter {
    pool: Pool,
}

impl OverlaySnapshotter {
    /// The snapshots under `<root>/snapshots/overlay`. Does nothing yet: the pool is made with the first snapshot.
    pub fn new(root: &Path) -> Self {
        Self { pool: Pool::new(root.join("snapshots/overlay")) }
    }

    fn fs_of(&self, layer: &str) -> PathBuf {
        self.pool.place(SnapshotKind::Committed, layer).join("fs")
    }

    fn mount_of(&self, kind: SnapshotKind, key: &str, parents: &[String]) -> Mount {
        let lower: Vec<_> = parents.iter().map(|parent| self.fs_of(parent)).collect();
        let place = self.pool.place(kind, key);
        match (kind, lower.as_slice()) {
            // Overlayfs wants two layers at least.
            (SnapshotKind::View, [only]) => Mount::Bind { source: only.clone(), read_only: true },
            (SnapshotKind::View, _) => Mount::Overlay { lower, upper: None, work: None },
            (_, []) => Mount::Bind { source: place.join("fs"), read_only: false },
            _ => Mount::Overlay { lower, upper: Some(place.join("fs")), work: Some(place.join("work")) },
        }
    }

    /// The ancestors of a snapshot that is made on `parent`.
    fn ancestors(&self, what: &str, parent: &str) -> Result<Vec<String>> {
        match self.pool.find(parent)? {
            Some(SnapshotKind::Committed) => {}
            Some(_) => {
                return Err(Error::new(ErrorKind::Conflict, what)
                    .because(format!("its parent {parent} is not committed and may still change")));
            }
            None => return Err(missing(what, parent)),
        }
        let mut parents = vec![parent.to_owned()];
        parents.extend(self.pool.parents(SnapshotKind::Committed, parent)?);
        Ok(parents)
    }

    fn make(&self, kind: SnapshotKind, key: &str, parent: Option<&str>) -> Result<Mount> {
        let what = format!("cannot make snapshot {key}");
        check_key(key)?;
        let _lock = self.pool.lock_shared()?;
        if self.pool.find(key)?.is_some() {
            return Err(in_use(&what, key));
        }
        let parents = parent.map_or(Ok(Vec::new()), |parent| self.ancestors(&what, parent))?;
        let building = self.pool.unfinished()?;
        let fill = || -> io::Result<()> {
            fs::create_dir(&building)?;
            if kind == SnapshotKind::Active {
                let upper = building.join("fs");
                fs::create_dir(&upper)?;
                fs::create_dir(building.join("work"))?;
                // The root of the union has the attributes of the upper directory.
                let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
                let (mode, uid, gid) = match parents.first() {
                    Some(parent) => {
                        let metadata = fs::metadata(self.fs_of(parent))?;
                        (metadata.mode() & 0o7777, metadata.uid(), metadata.gid())
                    }
                    None => (0o755, own.0, own.1),
                };
                if (uid, gid) != own {
                    lchown(&upper, Some(uid), Some(gid))?;
                }
                fs::set_permissions(&upper, fs::Permissions::from_mode(mode))?;
            }
            self.pool.write_parents(&building, &parents)
        };
        fill().map_err(|error| Error::io(what.as_str(), error))?;
        match self.pool.settle(&building, &self.pool.place(kind, key)) {
            Ok(()) => Ok(self.mount_of(kind, key, &parents)),
            Err(error) => {
                self.pool.discard(&building)?;
                Err(if error.kind() == io::ErrorKind::AlreadyExists {
                    in_use(&what, key)
                } else {
                    Error::io(what, error)
                })
            }
        }
    }

    /// The kind of a snapshot that must be there.
    fn kind_of(&self, what: &str, key: &str) -> Result<SnapshotKind> {
        check_key(key)?;
        self.pool.find(key)?.ok_or_else(|| missing(what, key))
    }

    fn active(&self, what: &str, key: &str) -> Result<()> {
        match self.kind_of(what, key)? {
            SnapshotKind::Active => Ok(()),
            _ => {
                Err(Error::new(ErrorKind::Conflict, what).because(format!("snapshot {key} is not writable")))
            }
        }
    }
}

impl Snapshotter for OverlaySnapshotter {
    fn prepare(&self, key: &str, parent: Option<&str>) -> Result<Mount> {
        self.make(SnapshotKind::Active, key, parent)
    }

    fn view(&self, key: &str, parent: &str) -> Result<Mount> {
        self.make(SnapshotKind::View, key, Some(parent))
    }

    fn mounts(&self, key: &str) -> Result<Mount> {
        let what = format!("cannot mount snapshot {key}");
        let kind = self.kind_of(&what, key)?;
        if kind == SnapshotKind::Committed {
            return Err(Error::new(ErrorKind::Conflict, what)
                .because("it is committed")
                .hint("prepare a writable copy of it, or a view"));
        }
        Ok(self.mount_of(kind, key, &self.pool.parents(kind, key)?))
    }

    fn layer_target(&self, key: &str) -> Result<LayerTarget> {
        self.active(&format!("cannot unpack into snapshot {key}"), key)?;
        let parents = self.pool.parents(SnapshotKind::Active, key)?;
        Ok(LayerTarget {
            upper: self.pool.place(SnapshotKind::Active, key).join("fs"),
            lower: parents.iter().map(|parent| self.fs_of(parent)).collect(),
        })
    }

    fn commit(&self, name: &str, key: &str) -> Result<()> {
        let what = format!("cannot commit snapshot {key} as {name}");
        check_key(name)?;
        let _lock = self.pool.lock_shared()?;
        self.active(&what, key)?;
        if self.pool.find(name)?.is_some() {
            return Err(in_use(&what, name));
        }
        let place = self.pool.place(SnapshotKind::Active, key);
        let work = place.join("work");
        if work.exists() {
            fs::remove_dir_all(&work).map_err(|error| Error::io(what.as_str(), error))?;
        }
        self.pool.settle(&place, &self.pool.place(SnapshotKind::Committed, name)).map_err(|error| match error
            .kind()
        {
            io::ErrorKind::AlreadyExists => in_use(&what, name),
            _ => Error::io(what.as_str(), error),
        })
    }

    fn remove(&self, key: &str) -> Result<()> {
        let what = format!("cannot remove snapshot {key}");
        let kind = self.kind_of(&what, key)?;
        let lock = match kind {
            SnapshotKind::Committed => Some(self.pool.lock_exclusive()?),
            _ => None,
        };
        if kind == SnapshotKind::Committed
            && let Some(child) = self.walk()?.into_iter().find(|other| other.parent.as_deref() == Some(key))
        {
            return Err(Error::new(ErrorKind::Conflict, what).because(format!("{} builds on it", child.key)));
        }
        let trash = self.pool.trash()?;
        fs::rename(self.pool.place(kind, key), &trash).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing(&what, key),
            _ => Error::io(what.as_str(), error),
        })?;
        drop(lock);
        self.pool.discard(&trash)
    }

    fn stat(&self, key: &str) -> Result<Snapshot> {
        let kind = self.kind_of("cannot look at a snapshot", key)?;
        let parent = self.pool.parents(kind, key)?.into_iter().next();
        Ok(Snapshot { key: key.to_owned(), kind, parent })
    }

    fn walk(&self) -> Result<Vec<Snapshot>> {
        let mut snapshots = Vec::new();
        for kind in pool::KINDS {
            for key in self.pool.keys(kind)? {
                // One that another process has removed in between is not there.
                match self.pool.parents(kind, &key) {
                    Ok(parents) => snapshots.push(Snapshot { key, kind, parent: parents.into_iter().next() }),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(snapshots)
    }

    fn usage(&self, key: &str) -> Result<Usage> {
        let what = format!("cannot measure snapshot {key}");
        let kind = self.kind_of(&what, key)?;
        match kind {
            SnapshotKind::View => Ok(Usage::default()),
            _ => usage::of(&self.pool.place(kind, key).join("fs")).map_err(|error| Error::io(what, error)),
        }
    }

    fn sweep(&self) -> Result<()> {
        self.pool.sweep()
    }
}

fn missing(what: &str, key: &str) -> Error {
    Error::new(ErrorKind::NotFound, what).because(format!("there is no snapshot {key}"))
}

fn in_use(what: &str, key: &str) -> Error {
    Error::new(ErrorKind::AlreadyExists, what).because(format!("there is a snapshot {key} already"))
}
