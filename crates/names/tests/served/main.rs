//! The process as it is started by an engine, asked by clients in network namespaces of their own. As root.

// clippy takes helper functions of tests for no part of a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod dhcp;
mod dns;
mod life;
mod support;

/// Not a test: the process that the tests start.
#[test]
#[ignore = "run by the tests as the names process"]
fn process() {
    let dir =
        std::env::var_os(support::DIRECTORY).expect("the directory is given by the test that starts this");
    sampan_names::run(dir.as_ref()).unwrap();
}
