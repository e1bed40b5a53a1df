//! The command line of an OCI runtime as callers drive it: processes, signals, terminals, and commands that are killed on the way.
//! `tests/oci` at the top has what every runtime must do; here is what is particular to ours.
//!
//! Needs root and the host's static busybox.

// A failed expectation of a test is a panic, in the functions that tests share too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attending;
mod descriptors;
mod locking;
mod notify;
mod support;
mod terminal;
