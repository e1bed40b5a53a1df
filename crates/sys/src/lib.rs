//! The kernel's interface: every unsafe block of Sampan stands here, behind safe functions.
//!
//! Only what `rustix` has no safe wrapper for. Nothing here knows of containers.

pub mod channel;
pub mod process;
