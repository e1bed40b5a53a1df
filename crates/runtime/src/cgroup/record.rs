//! What a later process needs to find a control group again.

use super::{CgroupManager, Layout, Tolerance, systemd::Unit, v1, v2};
use serde::{Deserialize, Serialize};

/// Who makes the control groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupDriver {
    /// The runtime makes directories.
    #[default]
    Fs,
    /// systemd makes a transient unit: the system's for root, the user's own for others.
    Systemd,
}

/// Where a control group is, in all hierarchies, whatever group its reader is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupRecord {
    pub(super) path: String,
    /// The unit, where systemd made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<Unit>,
    pub(super) layout: Layout,
}

impl CgroupRecord {
    /// Who made it.
    pub fn driver(&self) -> CgroupDriver {
        if self.unit.is_some() { CgroupDriver::Systemd } else { CgroupDriver::Fs }
    }

    /// Its path in every hierarchy, from the mount point where it is absolute.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The directories by controller, as they are listed in a state file: `cpu`, `name=systemd`; version 2 under the empty name.
    pub fn directories(&self) -> Vec<(String, std::path::PathBuf)> {
        let layout = &self.layout;
        let v1 = layout.v1.iter().map(|own| (own.controllers.clone(), own.directory(&self.path)));
        let unified =
            layout.unified.iter().map(|own| (String::new(), layout.unified_directory(own, &self.path)));
        v1.chain(unified).collect()
    }

    /// Its directories, without systemd. `tolerance` is about what cannot be made. `shared`:
    /// somebody else makes some of it.
    pub(super) fn groups(&self, tolerance: Tolerance, shared: bool) -> Box<dyn CgroupManager> {
        match (&self.layout.unified, self.layout.v1.is_empty()) {
            (Some(unified), true) => {
                let directory = self.layout.unified_directory(unified, &self.path);
                Box::new(v2::Unified::new(unified.mount.clone(), directory, tolerance, shared))
            }
            _ => Box::new(v1::Hybrid::new(&self.layout, &self.path, tolerance, shared)),
        }
    }
}
