//! Ranges of user and group ids, one for each running container with ids of its own.
//!
//! Nothing on disk depends on a range (root filesystems and volumes are id-mapped when mounted), so it is taken when a
//! container starts and given back when it ends. Claims of all engines on a host stand in one folder on tmpfs: an entry
//! `<slot>` is a symbolic link to the bundle that holds it. Making a link is atomic, and one whose bundle is gone is free.

use crate::recipe::ID_COUNT;
use sampan_types::{ContainerId, Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

const CLAIMS: &str = "/run/sampan-ids";

/// First id given out: far above the ranges that distributions hand to users in /etc/subuid (100000 and up by 65536).
const FIRST: u32 = 0x1000_0000;
/// Number of ranges up to where ids stop being usable as signed numbers.
const SLOTS: u32 = (0x7fff_0000 - FIRST) / ID_COUNT;

/// Takes a range for the container whose bundle is `bundle`; gives its first id.
pub(crate) fn claim(id: &ContainerId, bundle: &Path) -> Result<u32> {
    claim_in(Path::new(CLAIMS), id, bundle)
}

/// Gives back the range that `bundle` holds, if any. `first` is its first id.
pub(crate) fn release(first: u32, bundle: &Path) -> Result<()> {
    release_in(Path::new(CLAIMS), first, bundle)
}

/// Gives back whatever range `bundle` holds, looked for among all claims: for those who do not know the first id.
pub(crate) fn release_any(bundle: &Path) -> Result<()> {
    release_any_in(Path::new(CLAIMS), bundle)
}

fn release_any_in(claims: &Path, bundle: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(claims) else { return Ok(()) };
    for entry in entries.flatten().map(|entry| entry.path()) {
        if std::fs::read_link(&entry).is_ok_and(|holder| holder == bundle) {
            std::fs::remove_file(&entry).map_err(|source| {
                Error::io(format!("cannot give back user ids at {}", entry.display()), source)
            })?;
        }
    }
    Ok(())
}

fn claim_in(claims: &Path, id: &ContainerId, bundle: &Path) -> Result<u32> {
    // The id is random: starting from it, ranges are rarely taken, whatever number of containers runs.
    let start = u32::from_str_radix(&id.as_str()[..8], 16).unwrap_or(0) % SLOTS;
    for slot in (0..SLOTS).map(|n| (start + n) % SLOTS) {
        if take(claims, &claims.join(slot.to_string()), bundle)? {
            return Ok(FIRST + slot * ID_COUNT);
        }
    }
    Err(Error::new(ErrorKind::Exhausted, "cannot give the container user ids of its own")
        .because(format!("all {SLOTS} ranges are in use"))
        .hint("stop containers, or run this one with --userns host"))
}

fn take(claims: &Path, entry: &Path, bundle: &Path) -> Result<bool> {
    let failed = |source| Error::io(format!("cannot claim user ids at {}", entry.display()), source);
    for _ in 0..3 {
        match std::os::unix::fs::symlink(bundle, entry) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir_all(claims).map_err(failed)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                if entry.exists() || !discard_stale(entry)? {
                    return Ok(false);
                }
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(false)
}

/// Removes a claim whose bundle is gone. Renaming first makes sure that of two processes only one removes it, and that
/// neither removes a fresh claim of the other.
fn discard_stale(entry: &Path) -> Result<bool> {
    let aside = PathBuf::from(format!("{}.{}", entry.display(), std::process::id()));
    if std::fs::rename(entry, &aside).is_err() {
        return Ok(false);
    }
    if aside.exists() {
        // Somebody claimed it between our look and the rename: put it back where nobody else has.
        let put_back = std::fs::hard_link(&aside, entry);
        let _ = std::fs::remove_file(&aside);
        return put_back
            .map(|()| false)
            .map_err(|source| Error::io("cannot restore a claim of user ids", source));
    }
    std::fs::remove_file(&aside)
        .map_err(|source| Error::io("cannot drop a stale claim of user ids", source))?;
    Ok(true)
}

fn release_in(claims: &Path, first: u32, bundle: &Path) -> Result<()> {
    let entry = claims.join(((first - FIRST) / ID_COUNT).to_string());
    match std::fs::read_link(&entry) {
        Ok(holder) if holder == bundle => std::fs::remove_file(&entry)
            .map_err(|source| Error::io(format!("cannot give back user ids at {}", entry.display()), source)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_containers_share_a_range() {
        let dir = tempfile::tempdir().unwrap();
        let claims = dir.path().join("ids");
        let id = ContainerId::from_bytes([7; 32]);
        let bundles = [dir.path().join("a"), dir.path().join("b")];
        bundles.iter().for_each(|bundle| std::fs::create_dir(bundle).unwrap());
        let first = claim_in(&claims, &id, &bundles[0]).unwrap();
        let second = claim_in(&claims, &id, &bundles[1]).unwrap();
        assert_eq!(second, first + ID_COUNT);
        release_in(&claims, first, &bundles[1]).unwrap();
        assert_ne!(claim_in(&claims, &id, &bundles[1]).unwrap(), first, "another's range is not given back");
        release_in(&claims, first, &bundles[0]).unwrap();
        assert_eq!(claim_in(&claims, &id, &bundles[0]).unwrap(), first);
    }

    #[test]
    fn a_claim_without_bundle_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let id = ContainerId::from_bytes([9; 32]);
        let first = claim_in(dir.path(), &id, &dir.path().join("gone")).unwrap();
        assert_eq!(claim_in(dir.path(), &id, dir.path()).unwrap(), first);
    }

    #[test]
    fn a_range_is_given_back_without_knowing_which() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join("bundle");
        claim_in(dir.path(), &ContainerId::from_bytes([9; 32]), &bundle).unwrap();
        release_any_in(dir.path(), Path::new("/another")).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        release_any_in(dir.path(), &bundle).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
