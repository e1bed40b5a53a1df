//! The only place that names concrete parts.

use crate::render::progress::Lines;
use sampan_engine::Engine;
use sampan_types::Result;
use std::path::Path;

/// The engine of these folders, in this process.
pub(crate) fn engine(root: &Path, run: &Path) -> Result<Engine> {
    Engine::open(root, run, Box::new(Lines::new()))
}
