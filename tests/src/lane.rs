//! Where the suite runs, and tests that can run in one place only.

use std::io::Write as _;

/// A place to run tests in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The machine at hand.
    Host,
    /// The VM with cgroup v2.
    Vm,
}

/// Where this is (`SAMPAN_LANE`).
pub fn lane() -> Lane {
    match std::env::var("SAMPAN_LANE").as_deref() {
        Ok("vm") => Lane::Vm,
        _ => Lane::Host,
    }
}

/// Says that the test at hand cannot run here. The reason is counted and shown by `cargo xtask test`, which checks that the
/// test ran in the other lane. The caller returns.
pub fn note_skip(reason: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    println!("skipped {name}: {reason}");
    if let Some(path) = std::env::var_os("SAMPAN_TEST_SKIPS") {
        let file = std::fs::File::options().create(true).append(true).open(path);
        let mut file = file.expect("the list of skipped tests can be written");
        writeln!(file, "{name}\t{reason}").expect("the list of skipped tests can be written");
    }
}
