//! Where an engine keeps its things, and the names it uses on the host.

use sampan_types::{ContainerId, Error, Result};
use std::path::{Path, PathBuf};

/// Root of the default engine.
pub const DEFAULT_ROOT: &str = "/var/lib/sampan";
/// Run directory of the default engine.
pub const DEFAULT_RUN: &str = "/run/sampan";

/// The folders of one engine. Two engines with different roots share nothing, not even a name on the host.
#[derive(Debug, Clone)]
pub struct Paths {
    /// What survives a reboot: content, snapshots, records.
    pub root: PathBuf,
    /// What is gone at boot: bundles, sockets, events.
    pub run: PathBuf,
    instance: String,
}

impl Paths {
    /// Makes both folders where they are missing.
    ///
    /// # Errors
    /// Where they cannot be made, with the right that is missing.
    pub fn create(root: &Path, run: &Path) -> Result<Self> {
        for (dir, option) in [(root, "--root"), (run, "--run")] {
            let made = std::fs::create_dir_all(dir).and_then(|()| {
                // Content and logs of all containers: nobody else's business.
                use std::os::unix::fs::PermissionsExt;
                std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o711))
            });
            made.map_err(|source| {
                Error::io(format!("cannot use folder {}", dir.display()), source)
                    .hint(format!("run as root, or name a folder of your own with {option}"))
            })?;
        }
        let absolute = |dir: &Path| {
            dir.canonicalize()
                .map_err(|source| Error::io(format!("cannot use folder {}", dir.display()), source))
        };
        let (root, run) = (absolute(root)?, absolute(run)?);
        let instance = instance(&root);
        Ok(Self { root, run, instance })
    }

    /// The engine's name on the host: control group, firewall table. `sampan` for the default root.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The default network's bridge: at most 15 characters.
    pub fn bridge(&self) -> String {
        match self.instance.strip_prefix("sampan-") {
            Some(suffix) => format!("sampan{suffix}"),
            None => "sampan0".to_owned(),
        }
    }

    /// A container's persistent folder: log, hosts file and the like. Its lock is taken on this folder.
    pub fn container(&self, id: &ContainerId) -> PathBuf {
        self.root.join("containers").join(id.as_str())
    }

    /// A container's bundle.
    pub fn bundle(&self, id: &ContainerId) -> PathBuf {
        self.run.join("containers").join(id.as_str())
    }

    /// Folder of the entries by which dead shims are found.
    pub fn shims(&self) -> PathBuf {
        self.run.join("shims")
    }

    /// Folder of the names process.
    pub fn names(&self) -> PathBuf {
        self.run.join("names")
    }

    /// The event log.
    pub fn events(&self) -> PathBuf {
        self.run.join("events.jsonl")
    }

    /// Control group of a container, from each hierarchy's root.
    pub fn cgroup(&self, id: &ContainerId) -> String {
        format!("/{}/{}", self.instance, id.as_str())
    }
}

/// `sampan`, or `sampan-` and eight digits that follow from the root (FNV-1a: stable, and no secret is kept by it).
fn instance(root: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    if root == Path::new(DEFAULT_ROOT) {
        return "sampan".to_owned();
    }
    let hash = root
        .as_os_str()
        .as_bytes()
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("sampan-{hash:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_have_names_of_their_own() {
        assert_eq!(instance(Path::new(DEFAULT_ROOT)), "sampan");
        let other = instance(Path::new("/srv/other"));
        assert_ne!(other, instance(Path::new("/srv/third")));
        let paths = Paths { root: "/srv/other".into(), run: "/run/other".into(), instance: other };
        assert!(paths.bridge().len() <= 15, "{}", paths.bridge());
    }

    #[test]
    fn a_folder_that_cannot_be_made_names_the_option() {
        let error = Paths::create(Path::new("/proc/none"), Path::new("/proc/none")).unwrap_err();
        assert_eq!(error.to_string(), "cannot use folder /proc/none");
        assert!(error.remedy().is_some_and(|hint| hint.contains("--root")));
    }
}
