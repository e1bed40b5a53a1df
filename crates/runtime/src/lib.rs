//! From an OCI runtime specification to a process in its namespaces.
//!
//! [`create`] takes a [`Bundle`] to the specification's *created* point: control groups, namespaces, mounts, devices
//! are there and a child waits; [`Container::start`] lets it run the program; [`Container::exec`] runs another one
//! beside it; [`Container::delete`] kills what is left and removes the control group. Whatever fails, nothing stays
//! behind, and the first error is the one that is returned.
//!
//! A container is in the hands of one process for its whole life (a shim), or it is detached: created by one process, with its
//! [`Record`] written down, opened again by others ([`Container::open`]), among them who starts it.
//!
//! Everything here is synchronous and must be called from a process with exactly one thread, since children are cloned:
//! [`create`] and `exec` refuse otherwise.
//!
//! # The way of a container
//! `setup` reads and checks; `create` is the runtime's side and `init` the child's, which talk through `sync`; `rootfs`
//! makes the mounts, `process` does the last steps before the program.

pub mod cgroup;
pub mod checkpoint;

mod bundle;
mod container;
mod create;
mod error;
mod exec;
mod gate;
mod hooks;
mod idmap;
mod init;
mod intel_rdt;
mod namespaces;
mod net_devices;
mod process;
mod procfs;
mod record;
mod rootfs;
mod seccomp;
mod setup;
mod sync;
mod sysctl;

pub use bundle::{Bundle, Options, Rootfs, Stdio};
pub use container::Container;
pub use create::create;
pub use exec::{Exec, ExecOptions};
pub use process::capabilities::NAMES as CAPABILITIES;
pub use record::Record;
