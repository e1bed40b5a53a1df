//! Implements every operation; joins the other crates.
//!
//! The engine is synchronous and keeps nothing in memory between operations: what is configured lies in the store, what
//! runs in the run directory, so that any number of engines (one for each command line) work side by side. One verb,
//! one file under `ops`.

mod clean_up;
mod etc_files;
mod events;
mod id_range;
mod images;
mod lock;
mod network;
mod observe;
mod ops;
mod paths;
mod recipe;
mod rights;
mod rollback;
mod shim;
mod start;
mod sweep;
mod task;
mod users;

pub use paths::{DEFAULT_ROOT, DEFAULT_RUN, Paths};
pub use task::TaskClient;

use sampan_net::Host;
use sampan_snapshot::{OverlaySnapshotter, Snapshotter};
use sampan_store::Store;
use sampan_types::{ContainerRecord, Progress, Result};
use std::{cell::RefCell, path::Path};

/// An engine: the folders it works on, and how it tells of progress.
pub struct Engine {
    paths: Paths,
    store: Store,
    snapshots: Box<dyn Snapshotter>,
    host: RefCell<Host>,
    progress: Box<dyn Progress>,
}

impl Engine {
    /// Opens the engine of these folders, making them where they are missing, and tidies what killed processes left.
    ///
    /// # Errors
    /// Where the folders cannot be used or hold a newer version's records.
    pub fn open(root: &Path, run: &Path, progress: Box<dyn Progress>) -> Result<Self> {
        let paths = Paths::create(root, run)?;
        let store = Store::open(&paths.root)?;
        let snapshots = Box::new(OverlaySnapshotter::new(&paths.root));
        let engine = Self { paths, store, snapshots, host: RefCell::default(), progress };
        engine.sweep()?;
        Ok(engine)
    }

    fn container(&self, key: &str) -> Result<ContainerRecord> {
        self.store.container(key)
    }
}
