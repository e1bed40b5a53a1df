//! The end-to-end tests: one module a subject. Each test has an engine of its own and runs beside the others.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "all of this is tests")]

mod app;
mod crash;
mod errors;
mod lifecycle;
mod limits;
mod network;
mod system;
mod terminal;
mod unprivileged;
mod volumes;
