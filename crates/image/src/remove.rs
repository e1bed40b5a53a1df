//! Taking names from images, and images away.

use crate::{chain::chain_ids, config::ImageConfig, unpack::unpack_key};
use rustix::fs::{FlockOperation, flock};
use sampan_snapshot::{SnapshotKind, Snapshotter};
use sampan_store::{ImageRecord, Store};
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
    deleted.extend(remove_layers(store, snapshotter, &image)?);
    remove_leftovers(store, snapshotter)?;
    store.collect()?;
    Ok(RemovedImage { untagged: image.references, deleted })
}

/// Removes the image's snapshots from the top down to the first that something else needs.
fn remove_layers(store: &Store, snapshotter: &dyn Snapshotter, image: &ImageRecord) -> Result<Vec<Digest>> {
    let needed: BTreeSet<String> = store.images()?.into_iter().filter_map(|other| other.unpacked).collect();
    let mut removed = Vec::new();
    for layer in chain_ids(&ImageConfig::of(image)?.diff_ids).into_iter().rev() {
        if needed.contains(layer.hex()) {
            break;
        }
        match snapshotter.remove(layer.hex()) {
            Ok(()) => removed.push(layer),
            // Never unpacked, or removed by someone else at the same time.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // Another image's layer, or a container's snapshot, builds on it.
            Err(error) if error.kind() == ErrorKind::Conflict => break,
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
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
