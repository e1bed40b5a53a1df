//! Images made on this machine.

use crate::{
    busybox::Busybox,
    debian::Debian,
    documents::{self, MANIFEST, config_document, manifest_document},
    layer_writer::LayerWriter,
};
use sampan_store::{ImageRecord, NewImage, Store};
use sampan_types::{ImageRef, Platform, Progress, Result, ops::TemplateName};
use std::{collections::BTreeMap, io::Write, time::SystemTime};

/// Makes a root filesystem out of what this machine has or can get.
pub trait Template {
    /// Writes the root filesystem as one uncompressed tar archive (pax or GNU, owners by number), and says what
    /// containers of it run. Leaves nothing behind on the machine, where it fails too.
    ///
    /// # Errors
    /// [`InvalidInput`](sampan_types::ErrorKind::InvalidInput) where an option has no meaning for this template;
    /// [`Unsupported`](sampan_types::ErrorKind::Unsupported) where a program is missing, with the package it is in;
    /// [`Unavailable`](sampan_types::ErrorKind::Unavailable) where that program fails, with what it said.
    fn write(
        &self,
        options: &TemplateOptions,
        archive: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<TemplateConfig>;
}

/// What a template can be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateOptions {
    /// Release of the distribution, such as `bookworm`; the template's own choice where absent.
    pub release: Option<String>,
    /// Packages beyond the template's own.
    pub include: Vec<String>,
}

/// What containers of a template's image run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateConfig {
    /// Program and arguments.
    pub cmd: Vec<String>,
    /// Environment, as `KEY=VALUE`.
    pub env: Vec<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// The image's history: how it was made.
    pub created_by: String,
}

/// The template with this name.
pub fn template(name: TemplateName) -> Box<dyn Template> {
    match name {
        TemplateName::Busybox => Box::new(Busybox::default()),
        TemplateName::Debian => Box::new(Debian),
    }
}

/// Makes an image called `name` from a template: one layer, configuration and manifest in the content store. An image
/// that had the name loses it.
///
/// # Errors
/// The template's own; those of writing content.
pub fn create(
    store: &Store,
    name: &ImageRef,
    template: &dyn Template,
    options: &TemplateOptions,
    progress: &dyn Progress,
) -> Result<ImageRecord> {
    let lease = store.lease()?;
    let mut layer = LayerWriter::start(&lease)?;
    let template_config = template.write(options, &mut layer, progress)?;
    progress.step("storing the image");
    let (layer, diff_id) = layer.finish()?;

    let created_at = SystemTime::now();
    let platform = Platform::host();
    let document = config_document(&template_config, &platform, &rfc3339(created_at), &diff_id);
    let (config, document) = documents::store(&lease, &document)?;
    let (manifest, _) = documents::store(&lease, &manifest_document(&config, &layer))?;
    let image = NewImage {
        media_type: MANIFEST.to_owned(),
        manifest_size: manifest.size,
        size: manifest.size + config.size + layer.size,
        digest: manifest.digest,
        id: config.digest,
        created_at,
        platform,
        config: documents::read_back(&document)?.to_record()?,
    };
    store.insert_image(&lease, &image, Some(name))
}

/// As `created` has it in an image's documents: `2026-01-02T03:04:05.678Z`.
fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).unwrap_or_default().to_string()
}
