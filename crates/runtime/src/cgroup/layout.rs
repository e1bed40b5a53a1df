//! How this host's control groups are laid out (cgroups(7)): version 1 hierarchies, version 2, or both (hybrid).

use crate::error::Cannot;
use rustix::fs::{Access, AtFlags};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the hierarchies are mounted by convention of every distribution.
const ROOT: &str = "/sys/fs/cgroup";

/// The hierarchies of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Version 1, each with its controllers.
    pub(crate) v1: Vec<Hierarchy>,
    /// Version 2: the only one, or beside the others without controllers.
    pub(crate) unified: Option<Hierarchy>,
}

/// One hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
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
                let mount = root.join(controllers.trim_start_matches("name="));
                if exists(&mount) {
                    layout.v1.push(hierarchy(mount));
                }
            }
        }
        layout
    }
}

impl Hierarchy {
    /// The directory's name below the mount point of all.
    pub(crate) fn name(&self) -> &str {
        self.controllers.trim_start_matches("name=")
    }

    /// Whether it has this controller.
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.split(',').any(|own| own == controller)
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
        let layout = Layout::parse(HYBRID, Path::new("/c"), |path| path != Path::new("/c/gone"));
        assert_eq!(layout.v1.len(), 2, "what is not mounted is left out");
        let (systemd, cpu) = (&layout.v1[0], &layout.v1[1]);
        assert_eq!((systemd.name(), systemd.mount.as_path()), ("systemd", Path::new("/c/systemd")));
        assert!(cpu.has("cpuacct") && !cpu.has("cpu,cpuacct"));
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
        assert_eq!(layout.unified.unwrap().mount, Path::new("/c"));
    }
}
