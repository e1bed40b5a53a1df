//! What the peers were found to do, kept for as long as neither they, the suite nor the kernel change.

use super::Verdicts;
use crate::peers::Peer;
use crate::repo;
use anyhow::{Context as _, Result};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;

/// The kept verdicts of a peer, if there are any of this suite.
pub(super) fn read(peer: &Peer) -> Result<Option<Verdicts>> {
    let path = place(peer)?;
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
    let verdicts = serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some(verdicts))
}

/// Keeps the verdicts of a peer.
pub(super) fn write(peer: &Peer, verdicts: &Verdicts) -> Result<()> {
    let path = place(peer)?;
    let text = serde_json::to_string_pretty(verdicts).context("cannot write verdicts as JSON")?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn place(peer: &Peer) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    peer.version.hash(&mut hasher);
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().hash(&mut hasher);
    for folder in super::sources() {
        repo::hash(&folder, &mut hasher)?;
    }
    Ok(repo::cache("conformance")?.join(format!("{}-{:016x}.json", peer.name, hasher.finish())))
}
