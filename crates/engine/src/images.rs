//! From an image to a root filesystem.

use crate::Engine;
use sampan_store::ImageRecord;
use sampan_types::{ContainerRecord, ErrorKind, Mount, Result};

impl Engine {
    /// A container's root filesystem: its own writable snapshot on top of the image's layers.
    pub(crate) fn root_filesystem(&self, record: &ContainerRecord, image: &ImageRecord) -> Result<Mount> {
        match self.snapshots.mounts(record.id.as_str()) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let parent = self.unpacked(image)?;
                self.snapshots.prepare(record.id.as_str(), Some(&parent))
            }
            result => result,
        }
    }

    /// Key of the snapshot that has all of an image's layers.
    pub(crate) fn unpacked(&self, image: &ImageRecord) -> Result<String> {
        sampan_image::ensure_unpacked(&self.store, self.snapshots.as_ref(), image, self.progress.as_ref())
    }
}
