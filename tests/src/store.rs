//! Giving a sandbox a root with images in it, fast.

use std::path::Path;
use std::process::Command;

/// Makes `to` a copy of a prepared root. What nobody ever writes to (blobs and the files of layers) is shared by hard
/// links; records and locks are copied.
pub(crate) fn clone(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-al").args([from, to]).status().expect("cp can be run");
    assert!(status.success(), "cannot copy {} to {}", from.display(), to.display());
    unshare(to);
}

/// Replaces the links below a folder by copies, apart from blobs and layers.
fn unshare(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder of the root can be listed") {
        let entry = entry.expect("an entry of the root");
        let path = entry.path();
        let kind = entry.file_type().expect("the type of an entry");
        let shared = ["blobs", "fs"].iter().any(|name| entry.file_name() == *name);
        if kind.is_dir() && !shared {
            unshare(&path);
        } else if kind.is_file() {
            let copy = path.with_extension("copy");
            std::fs::copy(&path, &copy).expect("a record can be copied");
            std::fs::rename(&copy, &path).expect("a record can be replaced");
        }
    }
}
