//! Images: made from templates, described, unpacked into snapshots, removed.
//!
//! An image is a manifest, a configuration and layers in the content store (OCI image-spec 1.1), and a record that leads
//! to them. Here is what lies between those and the snapshots that containers are made from.

mod busybox;
mod chain;
mod config;
mod debian;
mod decompress;
mod documents;
mod elf;
mod layer_writer;
mod remove;
mod template;
mod unpack;

#[cfg(test)]
mod tests;

pub use busybox::Busybox;
pub use config::{ImageConfig, SYSTEM_TYPE, TYPE_LABEL};
pub use debian::Debian;
pub use remove::remove_image;
pub use template::{Template, TemplateConfig, TemplateOptions, create, template};
pub use unpack::ensure_unpacked;
