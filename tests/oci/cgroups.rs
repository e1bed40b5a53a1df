//! Control groups: where a container is put, what limits it gets, what it sees of them.

mod blkio;
mod cpu;
mod inside;
mod memory;
mod paths;
mod processes;
mod sub;

use crate::support::{Case, Value, cgroup_v2, note_skip};

/// A file of a controller, and what stands in it.
#[derive(Clone, Copy)]
enum In<'a> {
    /// Version 1: controller, file and text.
    V1(&'a str, &'a str, &'a str),
    /// Version 2: file and text.
    V2(&'a str, &'a str),
}

/// Asserts what stands in the file that is of this machine's version, once the container is there. What the machine has not is noted as skipped.
#[track_caller]
fn stands(case: &Case, places: &[In<'_>]) {
    let mut looked = false;
    for place in places {
        let (controller, file, expected) = match *place {
            In::V1(controller, file, expected) if !cgroup_v2() => (controller, file, expected),
            In::V2(file, expected) if cgroup_v2() => ("", file, expected),
            _ => continue,
        };
        match case.cgroup_file(controller, file) {
            Some(text) => {
                looked = true;
                assert!(
                    text == expected || text.lines().any(|line| line == expected),
                    "{file} has {text:?}, not {expected:?}"
                );
            }
            None => note_skip(&format!("no {file} here")),
        }
    }
    if places.is_empty() || !looked {
        note_skip("nothing to look at in this version of control groups");
    }
}

/// Whether this machine can hold the limit: the file is there in a control group that the case makes for the question.
fn known(case: &Case, places: &[In<'_>]) -> bool {
    places.iter().any(|place| {
        let (controller, file) = match *place {
            In::V1(controller, file, _) if !cgroup_v2() => (controller, file),
            In::V2(file, _) if cgroup_v2() => ("", file),
            _ => return false,
        };
        let Some(folder) = crate::support::controller(controller, &format!("{}-asked", case.cgroup())) else {
            return false;
        };
        let made = std::fs::create_dir(&folder).is_ok();
        let there = folder.join(file).exists();
        if made {
            std::fs::remove_dir(&folder).unwrap();
        }
        there
    })
}

/// A created container with these resources has these files.
#[track_caller]
fn limited(resources: &[(&str, Value)], places: &[In<'_>]) {
    let mut case = Case::idle();
    for (pointer, value) in resources {
        case.set(&format!("/linux/resources/{pointer}"), value.clone());
    }
    if !known(&case, places) {
        return note_skip("this machine's control groups have no such file");
    }
    case.create().code(0);
    stands(&case, places);
}

/// Resources that are refused, with nothing left behind.
#[track_caller]
fn refused(resources: &[(&str, Value)]) -> crate::support::Said {
    let mut case = Case::idle();
    for (pointer, value) in resources {
        case.set(&format!("/linux/resources/{pointer}"), value.clone());
    }
    let said = case.create().failed();
    case.nothing_left();
    said
}

/// `name: resources => files;` for each case.
macro_rules! limits {
    ($($name:ident: [$($pointer:literal = $value:tt),*] => [$($place:expr),*];)*) => {
        $(#[test]
        fn $name() {
            super::limited(&[$(($pointer, crate::support::json!($value))),*], &[$($place),*]);
        })*
    };
}
use limits;
