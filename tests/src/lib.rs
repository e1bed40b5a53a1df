//! Support for the end-to-end suites in `tests/tests/`: each test gets a [`Sandbox`], an engine of its own.
//!
//! A suite drives the `sampan` program as a person does, by its words, and reads what it prints. `cargo xtask test` builds
//! the programs and images, sets [`places`]'s variables and runs the suites on this host and in a VM.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "all of this runs in tests only")]

mod failpoints;
pub mod http;
mod lane;
mod leaks;
mod netns;
pub mod places;
mod pty;
mod said;
mod sandbox;
mod store;
mod wait;

pub use failpoints::failpoints;
pub use lane::{Lane, lane, note_skip};
pub use leaks::{assert_nothing_left, instance};
pub use netns::Client;
pub use pty::Terminal;
pub use said::Said;
pub use sandbox::Sandbox;
pub use wait::{eventually, within};
