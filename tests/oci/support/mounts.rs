//! Mounts, as a container and the host see them.

use super::Case;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use std::path::{Path, PathBuf};

/// One line of `mountinfo` (proc_pid_mountinfo(5)).
#[derive(Debug, Clone)]
pub(crate) struct Mount {
    /// The folder of the file system that is the mount's root.
    pub(crate) root: String,
    pub(crate) point: String,
    /// `ro`, `nosuid`, …: of the mount alone.
    pub(crate) options: Vec<String>,
    /// `shared:1`, `master:2`, `unbindable`, …
    pub(crate) tags: Vec<String>,
    pub(crate) kind: String,
    pub(crate) source: String,
    /// What the whole file system has.
    pub(crate) data: Vec<String>,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3).map(str::to_owned);
        let mut right = right.split(' ').map(str::to_owned);
        let list = |text: String| text.split(',').map(str::to_owned).collect();
        Some(Self {
            root: left.next()?,
            point: left.next()?,
            options: list(left.next()?),
            tags: left.collect(),
            kind: right.next()?,
            source: right.next()?,
            data: list(right.next()?),
        })
    }

    /// Whether the mount has an option.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|own| own == option)
    }

    /// Whether its file system has a word: `size=4k`.
    pub(crate) fn is_given(&self, word: &str) -> bool {
        self.data.iter().any(|own| own == word)
    }

    /// Asserts that the mount has some options and lacks others, which begin with `!`.
    #[track_caller]
    pub(crate) fn options(&self, expected: &[&str]) {
        for option in expected {
            let (name, wanted) = option.strip_prefix('!').map_or((*option, true), |name| (name, false));
            assert_eq!(self.has(name), wanted, "{name} of {self:?}");
        }
    }
}

/// The lines of a table of mounts, the lower ones first.
pub(crate) fn mounts(table: &str) -> Vec<Mount> {
    table.lines().filter_map(Mount::parse).collect()
}

/// The topmost mount at a path.
#[track_caller]
pub(crate) fn mount_at(table: &str, point: &str) -> Mount {
    let found = mounts(table).into_iter().rev().find(|mount| mount.point == point);
    found.unwrap_or_else(|| panic!("nothing is mounted on {point}:\n{table}"))
}

impl Case {
    /// Runs the container to show the table of its mounts.
    #[track_caller]
    pub(crate) fn table(&mut self) -> String {
        self.set("/process/args", ["cat", "/proc/self/mountinfo"]);
        self.run().ok()
    }

    /// A folder on the host, in the case's own.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.base().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        path
    }

    /// A file on the host, in the case's own folder, with its name as its text.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let path = self.base().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, name).expect("a file");
        path
    }
}

/// A path as a word.
#[track_caller]
pub(crate) fn word(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Mounts of the host that a test makes below its own folder. They go before the case looks for what is left, if they are declared after it.
#[derive(Default)]
pub(crate) struct HostMounts {
    points: Vec<PathBuf>,
}

impl HostMounts {
    /// A tmpfs with flags.
    pub(crate) fn tmpfs(&mut self, point: &Path, flags: MountFlags) -> &mut Self {
        std::fs::create_dir_all(point).expect("a mount point");
        rustix::mount::mount("tmpfs", point, "tmpfs", MountFlags::empty(), Some(c"mode=755"))
            .expect("a tmpfs");
        self.flagged(point, flags);
        // What a container does must not come by itself from a host whose root is shared or not.
        self.changed(point, MountPropagationFlags::PRIVATE);
        self.points.push(point.to_owned());
        self
    }

    /// Gives a mount other flags, its file system none.
    pub(crate) fn flagged(&mut self, point: &Path, flags: MountFlags) -> &mut Self {
        if !flags.is_empty() {
            rustix::mount::mount_remount(point, flags | MountFlags::BIND, "").expect("other flags");
        }
        self
    }

    /// A bind mount of a folder on itself.
    pub(crate) fn bound(&mut self, point: &Path) -> &mut Self {
        rustix::mount::mount_bind(point, point).expect("a bind mount");
        self.points.push(point.to_owned());
        self
    }

    /// Changes the propagation of a mount.
    pub(crate) fn changed(&mut self, point: &Path, how: MountPropagationFlags) -> &mut Self {
        rustix::mount::mount_change(point, how).expect("another propagation");
        self
    }
}

impl Drop for HostMounts {
    fn drop(&mut self) {
        for point in self.points.iter().rev() {
            let _ = rustix::mount::unmount(point, UnmountFlags::DETACH);
        }
    }
}
