//! Where things lie: the checkout, the build's target directory, the cache.

use anyhow::{Context as _, Result};
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _};
use std::path::{Path, PathBuf};

/// The checkout that this tool was built from.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// A folder of `.cache/`, made if it is not there: outside git, safe to delete at any time.
pub(crate) fn cache(name: &str) -> Result<PathBuf> {
    let path = root().join(".cache").join(name);
    std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

/// Keeps others that run at the same time away from a folder of `.cache/` while it is being made: until what is returned
/// is dropped.
pub(crate) fn lock(name: &str) -> Result<File> {
    let path = cache(name)?.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Adds the names and contents of all files below a folder to a digest.
pub(crate) fn hash(folder: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    let listed = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths = listed.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            hash(&path, hasher)?;
        } else {
            path.hash(hasher);
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?.hash(hasher);
        }
    }
    Ok(())
}
