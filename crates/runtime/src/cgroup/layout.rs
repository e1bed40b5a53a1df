//! How this host's control groups are laid out (cgroups(7)): version 1 hierarchies, version 2, or both (hybrid).

use crate::error::Cannot;
use rustix::fs::{Access, AtFlags};
use sampan_types::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the hierarchies are mounted by convention of every distribution.
pub(crate) const ROOT: &str = "/sys/fs/cgroup";

/// The hierarchies of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    /// Version 1, each with its controllers.
    pub(crate) v1: Vec<Hierarchy>,
    /// Version 2: the only one, or beside the others without controllers.
    pub(crate) unified: Option<Hierarchy>,
}

/// One hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hierarchy {
    /// Its controllers as in `/proc/self/cgroup` (`cpu,cpuacct`, `name=systemd`); empty for version 2.
    pub(crate) controllers: String,
    /// Where it is mounted.
    pub(crate) mount: PathBuf,
    /// The group the calling process is in.
    pub(crate) own: String,
}

impl Layout {
    /// Reads it from the kernel.
    pub(crate) fn read() -> Result<Self> {
        let text = fs::read_to_string("/proc/self/cgroup").cannot(|| "read /proc/self/cgroup".into())?;
        let layout = Self::parse(&text, Path::new(ROOT), |path| {
            rustix::fs::accessat(rustix::fs::CWD, path, Access::EXISTS, AtFlags::empty()).is_ok()
        });
        if layout.v1.is_empty() && layout.unified.is_none() {
            return Err(Error::new(ErrorKind::Unsupported, "cannot use control groups")
                .because(format!("no hierarchy is mounted under {ROOT}"))
                .hint(format!("mount -t cgroup2 cgroup2 {ROOT}")));
        }
        Ok(layout)
    }

    fn parse(text: &str, root: &Path, exists: impl Fn(&Path) -> bool) -> Self {
        let mut layout = Self { v1: Vec::new(), unified: None };
        for line in text.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(own)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let hierarchy = |mount: PathBuf| Hierarchy {
                controllers: controllers.to_owned(),
                mount,
                own: own.to_owned(),
            };
            if controllers.is_empty() {
                // Hybrid hosts have it beside the others; on pure ones the root itself is it.
                let mount = [root.join("unified"), root.to_path_buf()]
                    .into_iter()
                    .find(|mount| exists(&mount.join("cgroup.controllers")));
                layout.unified = mount.map(hierarchy);
            } else {
                // Named after all its controllers, or, behind a link, after one of them.
                let name = controllers.trim_start_matches("name=");
                let names = std::iter::once(name).chain(name.split(','));
                // What is unmounted leaves its directory behind: one without the file of every group is none.
                let is_mounted = |mount: &PathBuf| exists(&mount.join("tasks"));
                if let Some(mount) = names.map(|name| root.join(name)).find(is_mounted) {
                    layout.v1.push(hierarchy(mount));
                }
            }
        }
        layout
    }

    /// The group's directory in version 2. Without version 1 a relative path starts above the caller's own group: one that has
    /// processes cannot hand controllers down.
    pub(super) fn unified_directory(&self, unified: &Hierarchy, path: &str) -> PathBuf {
        match path.strip_prefix('/') {
            None if self.v1.is_empty() => {
                let above = unified.own.rsplit_once('/').map_or("", |(above, _)| above);
                unified.directory(&format!("{above}/{path}"))
            }
            _ => unified.directory(path),
        }
    }

    /// Forgets hierarchies, by their controllers.
    pub(super) fn leave_out(&mut self, hierarchies: &[String]) {
        self.v1.retain(|own| !hierarchies.contains(&own.controllers));
        self.unified.take_if(|own| hierarchies.contains(&own.controllers));
    }
}

/// A path without what a path can do: `..` leads no higher than where it starts, and it must name a group.
pub(super) fn checked(path: &str) -> Result<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() || path.contains(['\0', '\n']) {
        return Err(crate::error::invalid(
            format!("invalid control group path {path:?}"),
            "it must name a group",
        ));
    }
    let start = if path.starts_with('/') { "/" } else { "" };
    Ok(format!("{start}{}", parts.join("/")))
}

impl Hierarchy {
    /// The directory's name below the mount point of all.
    pub(crate) fn name(&self) -> &str {
        self.controllers.trim_start_matches("name=")
    }

    /// The directory of a group: an absolute path starts at the mount point, a relative one at the caller's own group.
    pub(crate) fn directory(&self, path: &str) -> PathBuf {
        let below = match path.strip_prefix('/') {
            Some(path) => path.to_owned(),
            None => format!("{}/{path}", self.own.trim_matches('/')),
        };
        self.mount.join(below.trim_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "3:name=systemd:/\n2:cpu,cpuacct:/a:b\n1:gone:/\n0::/u\n";

    #[test]
    fn a_hybrid_host() {
        let layout = Layout::parse(HYBRID, Path::new("/c"), |path| path != Path::new("/c/gone/tasks"));
        assert_eq!(layout.v1.len(), 2, "an empty directory where one was mounted is left out");
        let (systemd, cpu) = (&layout.v1[0], &layout.v1[1]);
        assert_eq!((systemd.name(), systemd.mount.as_path()), ("systemd", Path::new("/c/systemd")));
        assert_eq!(cpu.directory("/x/y/"), Path::new("/c/cpu,cpuacct/x/y"));
        assert_eq!(cpu.directory("x"), Path::new("/c/cpu,cpuacct/a:b/x"));
        let unified = layout.unified.unwrap();
        assert_eq!((unified.own.as_str(), unified.mount.as_path()), ("/u", Path::new("/c/unified")));
    }

    #[test]
    fn a_pure_host() {
        let exists = |path: &Path| path == Path::new("/c/cgroup.controllers");
        let layout = Layout::parse("0::/user.slice\n", Path::new("/c"), exists);
        assert!(layout.v1.is_empty());
        let unified = layout.unified.as_ref().unwrap();
        assert_eq!(unified.mount, Path::new("/c"));
        assert_eq!(layout.unified_directory(unified, "x"), Path::new("/c/x"), "beside the caller's own");
        assert_eq!(layout.unified_directory(unified, "/a/x"), Path::new("/c/a/x"));
    }

    #[test]
    fn joined_controllers_behind_a_link() {
        let exists = |path: &Path| path == Path::new("/c/cpu/tasks");
        let layout = Layout::parse("2:cpuacct,cpu:/\n", Path::new("/c"), exists);
        assert_eq!(layout.v1[0].mount, Path::new("/c/cpu"));
    }

    #[test]
    fn paths_stay_below_their_start() {
        assert_eq!(checked("/a/./b//c/").unwrap(), "/a/b/c");
        assert_eq!(checked("../../../../x").unwrap(), "x");
        assert_eq!(checked("/a/../../b").unwrap(), "/b");
        for bad in ["", "/", "..", "/a/.."] {
            let error = checked(bad).unwrap_err();
            assert_eq!(error.to_string(), format!("invalid control group path {bad:?}"));
        }
    }
}
