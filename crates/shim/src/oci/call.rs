//! One call of the program: what stands before the command, and what that comes to.

use super::{
    log::Log,
    place::{Lock, Place},
};
use sampan_types::Result;
use std::path::{Path, PathBuf};

/// What every command has.
#[derive(Debug)]
pub(super) struct Call {
    /// The program's name as it was called.
    pub(super) program: String,
    /// Where containers' states are kept.
    pub(super) root: PathBuf,
    /// Whether the caller named that place.
    pub(super) root_given: bool,
    pub(super) log: Log,
    /// Control groups are made by systemd.
    pub(super) systemd: bool,
    /// Control groups that may not be made are passed over, whoever the caller is.
    pub(super) rootless: bool,
    /// The program of CRIU, where it is named.
    pub(super) criu: Option<PathBuf>,
}

impl Call {
    /// A container's state.
    ///
    /// # Errors
    /// For an id that cannot be one; `container does not exist`.
    pub(super) fn place(&self, id: &str, lock: Lock) -> Result<Place> {
        Place::open(&self.root, id, lock)
    }

    /// The default of `--root`: on tmpfs, the user's own.
    pub(super) fn default_root() -> PathBuf {
        let user = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty());
        match user {
            Some(path) if !rustix::process::geteuid().is_root() => Path::new(&path).join(super::global::NAME),
            _ => Path::new("/run").join(super::global::NAME),
        }
    }
}
