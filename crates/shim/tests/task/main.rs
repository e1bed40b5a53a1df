//! The shim as the engine uses it: bundles with a busybox root filesystem, the protocol over a socket.
//!
//! Needs root and the host's static busybox.

// A failed expectation of a test is a panic, in the functions that tests share too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ending;
mod exec;
mod stdio;
mod support;
mod system;
mod terminal;
