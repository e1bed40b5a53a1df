//! Real containers, made with root's rights from a busybox root filesystem, one after the other: the process that makes
//! them must have one thread, so this is its own harness.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod attributes;
mod cgroup_changes;
mod cgroups;
mod confinement;
mod detached;
mod execs;
mod lifecycle;
mod mounts;
mod programs;
mod rootfs;
mod support;
mod systemd;

use std::panic::{AssertUnwindSafe, catch_unwind};

type Test = (&'static str, fn());

fn main() {
    let mut wanted = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    let filter = wanted.next().unwrap_or_default();
    if !rustix::process::geteuid().is_root() {
        println!("containers: skipped, needs root");
        return;
    }
    let tests: Vec<Test> = [
        programs::TESTS,
        confinement::TESTS,
        attributes::TESTS,
        cgroups::TESTS,
        cgroup_changes::TESTS,
        execs::TESTS,
        lifecycle::TESTS,
        detached::TESTS,
        mounts::TESTS,
        systemd::TESTS,
    ]
    .concat()
    .into_iter()
    .chain(rootfs::tests())
    .collect();
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, test) in tests.iter().filter(|(name, _)| name.contains(&filter)) {
        let outcome = catch_unwind(AssertUnwindSafe(test));
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        match outcome {
            Ok(()) => passed += 1,
            Err(_) => failed.push(*name),
        }
    }
    support::remove_cgroups();
    // The line by which the usual harness says that it came to its end; `cargo xtask test` looks for it.
    println!("test result: {passed} passed; {} failed", failed.len());
    assert!(failed.is_empty(), "failed: {failed:?}");
}
