//! Layers become snapshots.

use crate::{
    chain::chain_ids,
    config::ImageConfig,
    decompress::decompress,
    documents::{Descriptor, parse_manifest},
};
use rustix::fs::{FlockOperation, flock, syncfs};
use sampan_snapshot::{Snapshotter, apply_layer};
use sampan_store::{ImageRecord, Store};
use sampan_types::{Digest, Error, ErrorKind, Progress, Result};
use std::{
    fs::File,
    io::{self, Read},
};

/// How often progress is told, in bytes.
const TELL_EVERY: u64 = 1 << 20;

/// The snapshot that containers of `image` are prepared on: the topmost layer, committed under the digits of its chain
/// id. Layers that are not unpacked yet are unpacked now, each checked against its digest; of two processes that want
/// the same layer, one waits for the other.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where a layer is damaged or would leave its tree; [`ErrorKind::NotFound`] where a blob is
/// gone; [`ErrorKind::Exhausted`] where the disk is full. What was unpacked in full stays.
pub fn ensure_unpacked(
    store: &Store,
    snapshotter: &dyn Snapshotter,
    image: &ImageRecord,
    progress: &dyn Progress,
) -> Result<String> {
    if let Some(key) = &image.unpacked
        && snapshotter.stat(key).is_ok()
    {
        return Ok(key.clone());
    }
    let config = ImageConfig::of(image)?;
    let manifest = parse_manifest(&image.digest, &store.read_blob(&image.digest)?)?;
    if manifest.layers.len() != config.diff_ids.len() || manifest.layers.is_empty() {
        return Err(Error::new(ErrorKind::InvalidInput, format!("cannot unpack image {}", image.digest))
            .because(format!(
                "it has {} layers, but digests of {}",
                manifest.layers.len(),
                config.diff_ids.len()
            )));
    }
    let mut parent: Option<String> = None;
    for ((layer, diff_id), chain_id) in
        manifest.layers.iter().zip(&config.diff_ids).zip(chain_ids(&config.diff_ids))
    {
        let key = chain_id.hex().to_owned();
        if snapshotter.stat(&key).is_err() {
            unpack(
                store,
                snapshotter,
                layer,
                &Target { diff_id, key: &key, parent: parent.as_deref() },
                progress,
            )?;
        }
        parent = Some(key);
    }
    let top = parent.unwrap_or_default();
    store.set_unpacked(&image.digest, Some(&top))?;
    Ok(top)
}

/// What one layer becomes.
struct Target<'a> {
    diff_id: &'a Digest,
    key: &'a str,
    parent: Option<&'a str>,
}

fn unpack(
    store: &Store,
    snapshotter: &dyn Snapshotter,
    layer: &Descriptor,
    target: &Target<'_>,
    progress: &dyn Progress,
) -> Result<()> {
    let what = || format!("cannot unpack layer {}", layer.digest.short());
    let blob = store.open_blob(&layer.digest)?;
    // Held until the blob is closed; the kernel gives it back from a process that is killed.
    flock(&blob, FlockOperation::LockExclusive).map_err(|error| Error::io(what(), error.into()))?;
    if snapshotter.stat(target.key).is_ok() {
        return Ok(());
    }
    let active = unpack_key(&layer.digest);
    remove_if_there(snapshotter, &active)?;
    progress.step(&format!("unpacking layer {}", layer.digest.short()));
    snapshotter.prepare(&active, target.parent)?;
    let unpacked = fill(snapshotter, &active, &blob, layer, target.diff_id, progress)
        .and_then(|()| snapshotter.commit(target.key, &active));
    unpacked.or_else(|error| {
        remove_if_there(snapshotter, &active)?;
        // Layers stored differently can be the same when unpacked: another process was faster.
        if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
    })
}

/// Key of the active snapshot that a layer is unpacked in, by whoever holds the lock of its blob.
pub(crate) fn unpack_key(layer: &Digest) -> String {
    format!("unpack-{}", layer.hex())
}

fn fill(
    snapshotter: &dyn Snapshotter,
    active: &str,
    blob: &File,
    layer: &Descriptor,
    diff_id: &Digest,
    progress: &dyn Progress,
) -> Result<()> {
    let target = snapshotter.layer_target(active)?;
    let counting = Counting { blob, done: 0, told: 0, total: layer.size, progress };
    let applied = apply_layer(decompress(counting)?, &target)?;
    if applied.diff_id != *diff_id {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("cannot unpack layer {}", layer.digest.short()),
        )
        .because(format!("its content has the digest {}, not {diff_id} as the image says", applied.diff_id))
        .hint("the image is damaged: make or pull it again"));
    }
    // A layer is unpacked once and never looked at again: after a power cut it must be whole, or not be there.
    let sync = || -> io::Result<()> { Ok(syncfs(File::open(&target.upper)?)?) };
    sync().map_err(|error| Error::io(format!("cannot sync {}", target.upper.display()), error))
}

fn remove_if_there(snapshotter: &dyn Snapshotter, key: &str) -> Result<()> {
    match snapshotter.remove(key) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Tells how much of a blob has been read.
struct Counting<'a> {
    blob: &'a File,
    done: u64,
    told: u64,
    total: u64,
    progress: &'a dyn Progress,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.blob.read(buffer)?;
        self.done += read as u64;
        if self.done - self.told >= TELL_EVERY || read == 0 {
            self.told = self.done;
            self.progress.advance(self.done, self.total);
        }
        Ok(read)
    }
}
