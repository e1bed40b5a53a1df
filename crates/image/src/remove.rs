//! Taking names from images, and images away.

use crate::{chain::chain_ids, config::ImageConfig, unpack::unpack_key};
use rustix::fs::{FlockOperation, flock};
use sampan_snapshot::{Snapshot, SnapshotKind, Snapshotter};
use sampan_store::Store;
use sampan_types::{Digest, Error, ErrorKind, ImageRef, Result, ops::RemovedImage};
use std::collections::BTreeSet;

/// Takes the name `key` from its image; with the last name, or where `key` is digits of its id, the image goes, its
/// layers that no other image has, and their content.
///
/// With `force`, an image with several names goes by its id too; one that containers were made from only loses its
/// names: its content stays until they are gone.
///
/// # Errors
/// [`ErrorKind::NotFound`]; [`ErrorKind::Conflict`] where the id of an image with several names is given, or where
/// containers were made from it.
pub fn remove_image(
    store: &Store,
    snapshotter: &dyn Snapshotter,
    key: &str,
    force: bool,
) -> Result<RemovedImage> {
    let image = store.find_image(key)?;
    let by_name = key
        .parse::<ImageRef>()
        .ok()
        .filter(|name| name.digest().is_none() && image.references.contains(name));
    if let Some(name) = by_name
        && image.references.len() > 1
    {
        store.untag(&name)?;
        return Ok(RemovedImage { untagged: vec![name], deleted: Vec::new() });
    }
    if image.references.len() > 1 && !force {
        let names: Vec<_> = image.references.iter().map(ImageRef::familiar).collect();
        return Err(Error::new(ErrorKind::Conflict, format!("cannot remove image {key}"))
            .because(format!("it has several names: {}", names.join(", ")))
            .hint("sampan rmi NAME, or sampan rmi -f to take all of them"));
    }
    match store.delete_image(&image.digest) {
        Err(error) if error.kind() == ErrorKind::Conflict && force => {
            image.references.iter().try_for_each(|name| store.untag(name))?;
            return Ok(RemovedImage { untagged: image.references, deleted: Vec::new() });
        }
        deleted => deleted?,
    };
    let mut deleted = vec![image.digest.clone()];
    remove_leftovers(store, snapshotter)?;
    deleted.extend(remove_unneeded_layers(store, snapshotter)?);
    store.collect()?;
    Ok(RemovedImage { untagged: image.references, deleted })
}

/// Removes the layers that no recorded image has: those of the image that has just gone, and those of one that went when
/// the process was killed in between. A layer is recorded as part of an image before it is unpacked, so the layers
/// are looked at first and the records after.
fn remove_unneeded_layers(store: &Store, snapshotter: &dyn Snapshotter) -> Result<Vec<Digest>> {
    let layer = |snapshot: Snapshot| match snapshot.kind {
        SnapshotKind::Committed => format!("sha256:{}", snapshot.key).parse::<Digest>().ok(),
        _ => None,
    };
    let mut unneeded: Vec<Digest> = snapshotter.walk()?.into_iter().filter_map(layer).collect();
    let mut needed = BTreeSet::new();
    for image in store.images()? {
        needed.extend(chain_ids(&ImageConfig::of(&image)?.diff_ids));
    }
    unneeded.retain(|layer| !needed.contains(layer));
    let mut removed = Vec::new();
    // From the top down, in as many rounds as they are stacked.
    loop {
        let before = removed.len();
        let mut blocked = Vec::new();
        for layer in unneeded {
            match snapshotter.remove(layer.hex()) {
                Ok(()) => removed.push(layer),
                // Somebody else has removed it at the same time.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::Conflict => blocked.push(layer),
                Err(error) => return Err(error),
            }
        }
        if blocked.is_empty() || removed.len() == before {
            return Ok(removed);
        }
        unneeded = blocked;
    }
}

/// Removes what killed processes have left half unpacked: active snapshots whose layer nobody is unpacking.
fn remove_leftovers(store: &Store, snapshotter: &dyn Snapshotter) -> Result<()> {
    snapshotter.sweep()?;
    for snapshot in snapshotter.walk()? {
        let Some(digits) = snapshot.key.strip_prefix("unpack-") else { continue };
        let Ok(layer) = format!("sha256:{digits}").parse::<Digest>() else { continue };
        if snapshot.kind != SnapshotKind::Active || unpack_key(&layer) != snapshot.key {
            continue;
        }
        let blob = store.open_blob(&layer);
        let in_use =
            blob.as_ref().is_ok_and(|blob| flock(blob, FlockOperation::NonBlockingLockExclusive).is_err());
        if !in_use {
            match snapshotter.remove(&snapshot.key) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
