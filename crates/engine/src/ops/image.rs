//! `image create`, `images` and `rmi`: legal always; an image that a container was made from stays.

use crate::Engine;
use sampan_image::TemplateOptions;
use sampan_store::ImageRecord;
use sampan_types::{
    Result,
    ops::{CreateImage, Execute, ImageSummary, ListImages, RemoveImage, RemovedImage},
};

impl Execute<CreateImage> for Engine {
    fn execute(&self, operation: CreateImage) -> Result<ImageSummary> {
        let template = sampan_image::template(operation.template);
        let options = TemplateOptions { release: operation.release, include: operation.include };
        sampan_image::create(
            &self.store,
            &operation.name,
            template.as_ref(),
            &options,
            self.progress.as_ref(),
        )
        .map(summary)
    }
}

impl Execute<ListImages> for Engine {
    fn execute(&self, _: ListImages) -> Result<Vec<ImageSummary>> {
        Ok(self.store.images()?.into_iter().map(summary).collect())
    }
}

impl Execute<RemoveImage> for Engine {
    fn execute(&self, operation: RemoveImage) -> Result<RemovedImage> {
        sampan_image::remove_image(&self.store, self.snapshots.as_ref(), &operation.image, operation.force)
    }
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
