//! Layers made in the test, unpacked.

mod archives;
mod hostile;
mod layers;
mod random;
mod tree;

use crate::{AppliedLayer, LayerTarget, apply_layer};
use sampan_types::Result;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Directories to unpack into, and something beside them that must stay as it is.
struct Place {
    root: TempDir,
    layers: Vec<PathBuf>,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("outside")).unwrap();
        std::fs::write(root.path().join("outside/secret"), "secret").unwrap();
        Self { root, layers: Vec::new() }
    }

    /// Unpacks on top of what has been unpacked.
    fn apply(&mut self, layer: &[u8]) -> Result<AppliedLayer> {
        let upper = self.root.path().join(format!("layer{}", self.layers.len()));
        std::fs::create_dir(&upper).unwrap();
        let target = LayerTarget { upper: upper.clone(), lower: self.layers.iter().rev().cloned().collect() };
        self.layers.push(upper);
        let applied = apply_layer(layer, &target);
        self.check_outside();
        applied
    }

    /// The layer unpacked last.
    fn top(&self) -> &Path {
        self.layers.last().unwrap()
    }

    fn check_outside(&self) {
        let outside = self.root.path().join("outside");
        let names: Vec<_> =
            std::fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["secret"]);
        assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"secret");
        use std::os::unix::fs::MetadataExt;
        assert_eq!(std::fs::metadata(outside.join("secret")).unwrap().nlink(), 1);
    }
}
