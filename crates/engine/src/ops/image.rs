//! `image create`, `images` and `rmi`: legal always; an image that a container was made from stays.

use crate::Engine;
use sampan_store::ImageRecord;
use sampan_types::{
    Error, ErrorKind, ImageRef, Result,
    ops::{CreateImage, Execute, ImageSummary, ListImages, RemoveImage, RemovedImage},
};

impl Execute<CreateImage> for Engine {
    fn execute(&self, operation: CreateImage) -> Result<ImageSummary> {
        sampan_image::create(&self.store, &operation, self.progress.as_ref()).map(summary)
    }
}

impl Execute<ListImages> for Engine {
    fn execute(&self, _: ListImages) -> Result<Vec<ImageSummary>> {
        Ok(self.store.images()?.into_iter().map(summary).collect())
    }
}

impl Execute<RemoveImage> for Engine {
    fn execute(&self, operation: RemoveImage) -> Result<RemovedImage> {
        let image = self.store.find_image(&operation.image)?;
        let name = operation.image.parse::<ImageRef>().ok().filter(|name| image.references.contains(name));
        if let Some(name) = &name
            && image.references.len() > 1
        {
            self.store.untag(name)?;
            return Ok(RemovedImage { untagged: vec![name.clone()], deleted: Vec::new() });
        }
        if name.is_none() && image.references.len() > 1 && !operation.force {
            return Err(conflict(&operation.image, "several names lead to it".to_owned())
                .hint("remove the names one by one, or all at once with --force"));
        }
        if let Some((id, name)) = self.store.containers_of(&image.digest)?.first() {
            if !operation.force {
                return Err(conflict(
                    &operation.image,
                    format!("container {name} ({}) was made from it", id.short()),
                )
                .hint(format!("sampan rm {name}, or take only its name away with --force")));
            }
            // The container keeps the content; without a name it goes with the next removal after the container's.
            image.references.iter().try_for_each(|name| self.store.untag(name))?;
            return Ok(RemovedImage { untagged: image.references, deleted: Vec::new() });
        }
        self.delete_image(image)
    }
}

impl Engine {
    /// Deletes an image that nothing uses, the unpacked layers that only it has, and blobs that nobody refers to.
    fn delete_image(&self, image: ImageRecord) -> Result<RemovedImage> {
        let image = self.store.delete_image(&image.digest)?;
        let mut key = image.unpacked;
        while let Some(layer) = key {
            let parent = match self.snapshots.stat(&layer) {
                Ok(snapshot) => snapshot.parent,
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            match self.snapshots.remove(&layer) {
                // Another image builds on it, and on all below.
                Err(error) if error.kind() == ErrorKind::Conflict => break,
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => key = parent,
            }
        }
        self.store.collect()?;
        Ok(RemovedImage { untagged: image.references, deleted: vec![image.digest] })
    }
}

fn conflict(image: &str, why: String) -> Error {
    Error::new(ErrorKind::Conflict, format!("cannot remove image {image}")).because(why)
}

fn summary(image: ImageRecord) -> ImageSummary {
    ImageSummary {
        names: image.references,
        digest: image.id,
        platform: image.platform,
        created_at: image.created_at,
        size: image.size,
    }
}
