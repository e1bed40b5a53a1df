//! What a tree takes on the disk.

use crate::Usage;
use std::{collections::HashSet, fs, io, os::unix::fs::MetadataExt, path::Path};

/// Bytes of blocks and number of inodes of everything under `root`, hard links counted once.
pub(super) fn of(root: &Path) -> io::Result<Usage> {
    let mut usage = Usage::default();
    let mut linked = HashSet::new();
    let mut directories = vec![root.to_owned()];
    count(&fs::symlink_metadata(root)?, &mut linked, &mut usage);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            count(&metadata, &mut linked, &mut usage);
            if metadata.is_dir() {
                directories.push(entry.path());
            }
        }
    }
    Ok(usage)
}

fn count(metadata: &fs::Metadata, linked: &mut HashSet<(u64, u64)>, usage: &mut Usage) {
    if metadata.is_dir() || metadata.nlink() == 1 || linked.insert((metadata.dev(), metadata.ino())) {
        // In units of 512 bytes whatever the filesystem's blocks are (stat(2)).
        usage.bytes += metadata.blocks() * 512;
        usage.inodes += 1;
    }
}
