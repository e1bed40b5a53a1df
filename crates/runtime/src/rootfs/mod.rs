//! The container's root filesystem: from the first mount to the new root.
//!
//! All of it happens in the child, in the container's namespaces, before the old root is given up, and through descriptors: the
//! new root is no root yet, so every path inside is resolved within it ([`target`]).

pub(crate) mod build;
pub(crate) mod cgroupfs;
pub(crate) mod console;
pub(crate) mod options;
pub(crate) mod overlay;
pub(crate) mod trees;

mod copy_up;
mod devices;
mod enter;
mod filesystem;
pub(crate) mod mounts;
mod paths;
mod proc;
pub(crate) mod target;

pub(crate) use devices::DEFAULT as DEFAULT_DEVICES;
pub(crate) use enter::unescaped;
