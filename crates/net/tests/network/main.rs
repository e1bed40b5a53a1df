//! Networks proved by what goes through them: host, outside and containers are network namespaces of their own.

// clippy takes helper functions of tests for no part of a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lifecycle;
mod support;
mod traffic;
