//! The kernel's interface: every unsafe block of Sampan stands here, behind safe functions.
//!
//! Only what `rustix` has no safe wrapper for. Nothing here knows of containers.

pub mod bpf;
pub mod channel;
pub mod clone;
pub mod exec;
mod failpoint;
pub mod file;
pub mod keyring;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod netns;
pub mod pidfd;
pub mod process;
pub mod scheduling;
pub mod seccomp;
pub mod signal;
pub mod spawn;
pub mod startup;

pub use failpoint::failpoint;

/// A kernel call's result: -1 stands for the error in `errno`.
fn check(result: impl Into<i64>) -> std::io::Result<i64> {
    match result.into() {
        -1 => Err(std::io::Error::last_os_error()),
        value => Ok(value),
    }
}
