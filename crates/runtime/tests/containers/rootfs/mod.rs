//! The root filesystem: what is mounted where, and what a hostile image cannot make of it.

mod devices;
mod flags;
mod hostile;
mod idmaps;
mod paths;
mod roots;
mod sources;
mod tmpfs;

use crate::Test;

pub(crate) fn tests() -> Vec<Test> {
    [
        flags::TESTS,
        sources::TESTS,
        tmpfs::TESTS,
        idmaps::TESTS,
        devices::TESTS,
        paths::TESTS,
        roots::TESTS,
        hostile::TESTS,
    ]
    .concat()
}

/// Options of the mount on a path, from the output of `cat /proc/self/mountinfo`.
fn options_of<'a>(mountinfo: &'a str, path: &str) -> Vec<&'a str> {
    let line = |line: &&str| line.split(' ').nth(4) == Some(path);
    let line = mountinfo.lines().rev().find(line).unwrap_or_else(|| panic!("no {path}: {mountinfo}"));
    line.split(' ').nth(5).unwrap().split(',').collect()
}
