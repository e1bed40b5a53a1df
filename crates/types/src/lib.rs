//! The words of Sampan: ids, references, operations as values, errors. No I/O.
//!
//! Every other crate speaks in these types. What a user types is parsed here and nowhere else
//! ([`ImageRef`], [`PortMapping`], [`VolumeSpec`], [`Memory`], …); every verb of the engine is a value here
//! ([`ops`]); and what the engine and a container's shim say to each other stands in [`task`].

pub mod error;
pub mod event;
pub mod ops;
pub mod spec;
pub mod task;

mod container;
mod digest;
mod id;
mod image_ref;
mod mount;
mod platform;
mod port;
mod progress;
mod resources;
mod signal;

pub use container::{
    ContainerConfig, ContainerRecord, ContainerState, ContainerType, EndpointRecord, ExitRecord, NetworkMode,
    Userns,
};
pub use digest::Digest;
pub use error::{Error, ErrorKind, Result};
pub use id::{ContainerId, ContainerName, EnvVar};
pub use image_ref::ImageRef;
pub use mount::{Mount, VolumeSpec};
pub use platform::Platform;
pub use port::{PortMapping, Protocol};
pub use progress::{NoProgress, Progress};
pub use resources::{Cpus, Memory, Resources};
pub use signal::parse_signal;
