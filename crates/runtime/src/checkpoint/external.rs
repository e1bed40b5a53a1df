//! Mounts that are not the container's own: what is bound from outside. CRIU does not save them, it keeps a name for each
//! and is told at the restore what has that name.
//!
//! A bind mount's name is its destination as the specification has it. Where the container really has it is looked up by the
//! mount's number, whatever symbolic links lead there.

use super::mountinfo::{self, Mounted};
use crate::{
    cgroup::Cgroup,
    error::Cannot,
    rootfs::{
        DEFAULT_DEVICES, mounts,
        options::{Bind, Options},
        target,
    },
};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{Linux, Mount},
};
use std::{
    collections::HashSet,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// The name of what hides a file.
const MASK: &str = "/dev/null";

/// Two columns: for a checkpoint the place in the container and the name, for a restore the name and the host's path.
pub(super) type Pairs = Vec<(PathBuf, PathBuf)>;

/// What both sides need of a container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Described<'a> {
    pub(super) mounts: &'a [(&'a Mount, Options<'a>)],
    pub(super) linux: &'a Linux,
    pub(super) cgroup: &'a Cgroup,
    /// Device nodes are bound from the host.
    pub(super) bound_devices: bool,
    /// Where relative sources start.
    pub(super) bundle: &'a Path,
}

impl Described<'_> {
    /// Refuses what CRIU cannot save.
    pub(super) fn check(&self) -> Result<()> {
        match self.mounts.iter().find(|(_, options)| options.idmap.is_some()) {
            None => Ok(()),
            Some((mount, _)) => Err(Error::new(
                ErrorKind::Unsupported,
                format!("cannot checkpoint the mount on {}", mount.destination.display()),
            )
            .because("criu cannot save mounts that map ids")),
        }
    }

    /// Whether the control groups are mounted as directories of several hierarchies, which are bound.
    fn has_bound_hierarchies(&self) -> bool {
        !self.cgroup.layout().v1.is_empty()
    }

    fn devices(&self) -> Vec<PathBuf> {
        if !self.bound_devices {
            return Vec::new();
        }
        let usual = DEFAULT_DEVICES.iter().map(|(name, ..)| Path::new("/dev").join(name));
        usual.chain(self.linux.devices.iter().map(|device| device.path.clone())).collect()
    }
}

fn group_name(name: &str) -> PathBuf {
    Path::new("cgroup").join(name)
}

/// What is mounted in a container.
pub(super) fn of_checkpoint(pid: i32, described: &Described<'_>) -> Result<Pairs> {
    let root = format!("/proc/{pid}/root");
    let root = rustix::fs::open(&root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .cannot(|| format!("open {root}"))?;
    let all = mountinfo::of(&pid.to_string())?;
    let mut search = Search { root, all: &all, known: HashSet::new(), pairs: Vec::new() };
    let mut trees = Vec::new();
    for (mount, options) in described.mounts {
        let last = options.last_link();
        let Some(mounted) = search.at(&mount.destination, last.flags())? else { continue };
        let new = search.known.insert(mounted.id);
        match (options.bind, mount.fs_type.as_deref()) {
            (Some(bind), _) if !options.remount && new => {
                search.add(mounted, &mount.destination);
                if bind == Bind::All {
                    trees.push((mounted, mount.destination.as_path()));
                }
            }
            (None, Some("cgroup" | "cgroup2")) if described.has_bound_hierarchies() => {
                search.add_groups(mounted);
            }
            _ => {}
        }
    }
    for path in &described.linux.masked_paths {
        if let Some(mounted) = search.at(path, OFlags::PATH)?
            && search.is_file(path)?
            && search.known.insert(mounted.id)
        {
            search.add(mounted, Path::new(MASK));
        }
    }
    for path in described.devices() {
        if let Some(mounted) = search.at(&path, OFlags::PATH)?
            && search.known.insert(mounted.id)
        {
            search.add(mounted, &path);
        }
    }
    for path in &described.linux.readonly_paths {
        if let Some(mounted) = search.at(path, OFlags::PATH)? {
            search.known.insert(mounted.id);
        }
    }
    // What came along with a tree is what nothing else accounts for.
    for (top, name) in trees {
        for mounted in mountinfo::below(&all, top).filter(|mounted| !search.known.contains(&mounted.id)) {
            if let Some(name) = mountinfo::moved(&mounted.point, &top.point, name) {
                search.pairs.push((mounted.point.clone(), name));
            }
        }
    }
    Ok(search.pairs)
}

struct Search<'a> {
    root: OwnedFd,
    all: &'a [Mounted],
    /// Mounts that are accounted for.
    known: HashSet<u64>,
    pairs: Pairs,
}

impl<'a> Search<'a> {
    fn open(&self, path: &Path, flags: OFlags) -> Option<OwnedFd> {
        target::open_with(&self.root, mounts::relative(path), flags | OFlags::PATH, ResolveFlags::empty())
            .ok()
    }

    /// The mount at a path of the container; `None` where there is none any more.
    fn at(&self, path: &Path, flags: OFlags) -> Result<Option<&'a Mounted>> {
        let Some(file) = self.open(path, flags) else { return Ok(None) };
        let id = mountinfo::mount_of(file)?;
        Ok(self.all.iter().find(|mounted| Some(mounted.id) == id))
    }

    fn is_file(&self, path: &Path) -> Result<bool> {
        let Some(file) = self.open(path, OFlags::empty()) else { return Ok(false) };
        let stat = rustix::fs::fstat(file).cannot(|| format!("inspect {}", path.display()))?;
        Ok(FileType::from_raw_mode(stat.st_mode) != FileType::Directory)
    }

    fn add(&mut self, mounted: &Mounted, name: &Path) {
        self.pairs.push((mounted.point.clone(), name.to_owned()));
    }

    /// The hierarchies, on a tmpfs of their own; or the one of version 2.
    fn add_groups(&mut self, top: &'a Mounted) {
        if top.kind == "cgroup2" {
            return self.add(top, &group_name("unified"));
        }
        for mounted in self.all.iter().filter(|mounted| mounted.parent == top.id) {
            let name = mounted.point.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.known.insert(mounted.id);
            self.add(mounted, &group_name(&name));
        }
    }
}

/// What is to be mounted in a container that is restored.
pub(super) fn of_restore(described: &Described<'_>) -> Result<Pairs> {
    let mut pairs = vec![(PathBuf::from(MASK), PathBuf::from(MASK))];
    let host = mountinfo::of("self")?;
    for (mount, options) in described.mounts {
        let (Some(bind), Some(source), false) = (options.bind, &mount.source, options.remount) else {
            continue;
        };
        let source = described.bundle.join(source);
        if bind == Bind::All {
            let top = std::fs::canonicalize(&source).unwrap_or_else(|_| source.clone());
            let inside = host.iter().filter(|mounted| mounted.point != top);
            pairs.extend(inside.filter_map(|mounted| {
                let name = mountinfo::moved(&mounted.point, &top, &mount.destination)?;
                Some((name, mounted.point.clone()))
            }));
        }
        pairs.push((mount.destination.clone(), source));
    }
    if described.has_bound_hierarchies() {
        let record = described.cgroup.record();
        pairs.extend(record.directories().into_iter().map(|(controllers, directory)| {
            let name =
                if controllers.is_empty() { "unified" } else { controllers.trim_start_matches("name=") };
            (group_name(name), directory)
        }));
    }
    pairs.extend(described.devices().into_iter().map(|path| (path.clone(), path)));
    Ok(pairs)
}
