//! The seam between storage drivers and everything else.

use sampan_types::{Mount, Result};
use std::path::PathBuf;

/// Keeps trees of files that build on one another, and gives out writable copies of them at once.
///
/// # Terms
/// A **snapshot** is a tree of files with a **key** and, where it builds on another, a **parent**. It is
/// - **active**: writable, the work of one container or of one layer being unpacked;
/// - **committed**: never changed again; the only kind that can be a parent;
/// - a **view**: a read-only look at a committed one.
///
/// Keys of all three kinds share one name space: `[A-Za-z0-9][A-Za-z0-9_.-]*`, at most 128 bytes. What a key means is
/// the caller's business; here a layer is committed under the hexadecimal digits of its chain id (image-spec 1.1,
/// config.md, "Layer ChainID"), and a container's snapshot has the container's id.
///
/// # Life
/// ```text
///   prepare ──> active ──commit──> committed ──┐ parent of
///                 │                    │       ├──> prepare ──> active …
///               remove               remove    └──> view
/// ```
/// An image of two layers, and a container from it:
/// ```text
///   prepare("unpack-1", None)          apply layer 1 to layer_target("unpack-1")
///   commit("c1", "unpack-1")
///   prepare("unpack-2", Some("c1"))    apply layer 2 to layer_target("unpack-2")
///   commit("c2", "unpack-2")
///   prepare("0123abcd…", Some("c2"))   gives the mount of the container's root filesystem
/// ```
///
/// # What every driver keeps to
/// - A method has happened completely or not at all, after a `kill -9` too; what is left behind is nothing that a key
///   leads to, and goes with the next [`Snapshotter::sweep`].
/// - Any number of processes use one pool at once. Of two that take one key, one gets
///   [`AlreadyExists`](sampan_types::ErrorKind::AlreadyExists).
/// - A snapshot with children cannot be removed ([`Conflict`](sampan_types::ErrorKind::Conflict)); a missing key is
///   [`NotFound`](sampan_types::ErrorKind::NotFound).
/// - On disk, owners are those of the image: nothing is shifted for a container's user namespace.
/// - Nothing is mounted by a snapshotter: it says in a [`Mount`] how that is done. An overlay is to be mounted with
///   `userxattr`, wherever it is mounted.
pub trait Snapshotter: Send + Sync {
    /// Makes an active snapshot: a writable copy of `parent`, or an empty tree. Takes the same time whatever the size.
    ///
    /// # Errors
    /// `AlreadyExists` where the key is in use; `NotFound` where there is no such parent; `Conflict` where the parent
    /// is not committed.
    fn prepare(&self, key: &str, parent: Option<&str>) -> Result<Mount>;

    /// Makes a read-only view of a committed snapshot.
    ///
    /// # Errors
    /// As [`Snapshotter::prepare`].
    fn view(&self, key: &str, parent: &str) -> Result<Mount>;

    /// How an active snapshot or a view is mounted; the same as when it was made.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for a committed snapshot.
    fn mounts(&self, key: &str) -> Result<Mount>;

    /// Where [`apply_layer`](crate::apply_layer) unpacks a layer on top of the parent of an active snapshot.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` where the snapshot is not active.
    fn layer_target(&self, key: &str) -> Result<LayerTarget>;

    /// Makes the active snapshot `key` the committed one `name`. It must not be mounted. `key` is free afterwards.
    ///
    /// # Errors
    /// `AlreadyExists` where `name` is in use: `key` stays active then; `NotFound`; `Conflict` where it is not active.
    fn commit(&self, name: &str, key: &str) -> Result<()>;

    /// Removes a snapshot of any kind.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` where others build on it, naming one.
    fn remove(&self, key: &str) -> Result<()>;

    /// What is known of one snapshot.
    ///
    /// # Errors
    /// `NotFound`.
    fn stat(&self, key: &str) -> Result<Snapshot>;

    /// Every snapshot, in no order.
    ///
    /// # Errors
    /// Where the pool cannot be read.
    fn walk(&self) -> Result<Vec<Snapshot>>;

    /// What a snapshot takes on the disk by itself, without its parents.
    ///
    /// # Errors
    /// `NotFound`.
    fn usage(&self, key: &str) -> Result<Usage>;

    /// Finishes what killed processes left half done: unfinished snapshots go, begun removals are ended.
    ///
    /// # Errors
    /// Where the pool cannot be written.
    fn sweep(&self) -> Result<()>;
}

/// What is known of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Snapshot {
    /// Its key.
    pub key: String,
    /// What it is.
    pub kind: SnapshotKind,
    /// The committed snapshot it builds on.
    pub parent: Option<String>,
}

/// Writable, unchangeable, or a look at an unchangeable one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SnapshotKind {
    /// Writable.
    Active,
    /// Never changed again.
    Committed,
    /// A read-only look at a committed one.
    View,
}

/// Where a layer is unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerTarget {
    /// The directory that takes the layer's files, in overlay's own form: what the layer deletes becomes a whiteout.
    pub upper: PathBuf,
    /// The trees below, the topmost first: deletions, hard links and directories that the layer only mentions refer
    /// to them. Empty for the lowest layer.
    pub lower: Vec<PathBuf>,
}

/// Space on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of allocated blocks.
    pub bytes: u64,
    /// Files, directories and everything else that has an inode.
    pub inodes: u64,
}
