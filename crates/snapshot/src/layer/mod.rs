//! Unpacking a layer: a tar archive (image-spec 1.1, layer.md) becomes the upper directory of an overlay.
//!
//! Archives come from strangers. Every path of an entry is resolved by the kernel with the layer's directory as root
//! (`openat2`, `RESOLVE_IN_ROOT`), so a symbolic link that points elsewhere, absolute or with `..`, stays inside as it
//! would after a `chroot`; the last component is never followed. A name with `..` in it is refused.

mod archive;
mod copy_up;
mod field;
mod merged;
mod metadata;
mod pax;
mod sparse;
mod tree;
mod unpack;
mod whiteout;

#[cfg(test)]
mod tests;

use crate::LayerTarget;
use archive::Archive;
use sampan_types::{Digest, Error, Result};
use sha2::{Digest as _, Sha256};
use std::io::Read;

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedLayer {
    /// Digest of the uncompressed archive, which the image's configuration names in `rootfs.diff_ids`.
    pub diff_id: Digest,
    /// Bytes of all files' content.
    pub size: u64,
    /// Entries, whiteouts among them.
    pub entries: u64,
}

/// Unpacks one layer, an uncompressed tar archive, into `target`.
///
/// Kept are modes, numeric owners, modification times to the nanosecond, hard links, holes, devices and extended
/// attributes except those by which overlayfs itself would be led (`user.overlay.*`, `trusted.overlay.*`) and labels of
/// SELinux, which belong to the host.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](sampan_types::ErrorKind::InvalidInput), naming the entry, where the archive is damaged
/// or would leave the tree. What has been unpacked by then stays: the caller removes the snapshot.
pub fn apply_layer(layer: impl Read, target: &LayerTarget) -> Result<AppliedLayer> {
    let mut hash = Sha256::new();
    let hashing = Hashing { inner: layer, hash: &mut hash };
    let mut archive = Archive::new(hashing);
    let (size, entries) = unpack::unpack(&mut archive, target)?;
    // The digest is of everything, the padding behind the last entry too.
    archive.drain().map_err(|error| Error::io("cannot read the layer to its end", error))?;
    Ok(AppliedLayer { diff_id: Digest::sha256(hash.finalize().into()), size, entries })
}

/// Hashes what is read.
struct Hashing<'a, R> {
    inner: R,
    hash: &'a mut Sha256,
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}
