//! Snapshots: copy-on-write trees from layers, and layers unpacked into trees.
//!
//! [`Snapshotter`] is the seam that every storage driver implements; [`OverlaySnapshotter`] is the driver that works
//! on any common filesystem. [`apply_layer`] unpacks one layer of an image into the place a snapshotter gives for it.

mod layer;
mod overlay;
mod snapshotter;

pub use layer::{AppliedLayer, apply_layer};
pub use overlay::OverlaySnapshotter;
pub use snapshotter::{LayerTarget, Snapshot, SnapshotKind, Snapshotter, Usage};
