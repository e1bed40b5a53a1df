//! Checkpoint and restore: a container's processes to files and back, by CRIU.
//!
//! CRIU saves and restores processes with their memory, files and namespaces; what it must be told is what is *not* the container's own.
//! It is spoken to as `criu swrk`, over a socket, in Protocol Buffers (`wire`, `words`, `service`). `dump` and `restore` are
//! the two ways, `external` knows the mounts that come from outside, `streams` the standard streams, `mount_points` what
//! the root filesystem must have.

mod dump;
mod external;
mod failure;
mod images;
mod mount_points;
mod mountinfo;
mod options;
mod program;
mod request;
mod restore;
mod service;
mod streams;
mod wire;
mod words;

pub use options::{CgroupMode, CheckpointOptions, Criu, PageServer, RestoreOptions};
pub use restore::restore;
