//! Offsets of a time namespace.

use super::refused;
use crate::support::{Case, json};

fn time_case(script: &str) -> Case {
    let mut case = Case::sh(script);
    case.namespace("time", None);
    case
}

#[test]
fn offsets_of_clocks_are_set() {
    let mut case = time_case("cat /proc/self/timens_offsets");
    case.set("/linux/timeOffsets", json!({ "monotonic": { "secs": 7881, "nanosecs": 2_718_281 }, "boottime": { "secs": 1337, "nanosecs": 3_141_519 } }));
    let said = case.run().ok();
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines, [["monotonic", "7881", "2718281"], ["boottime", "1337", "3141519"]]);
}

#[test]
fn an_offset_moves_the_time_since_boot() {
    let uptime = || -> f64 {
        std::fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap()
    };
    let mut case = time_case("cut -d' ' -f1 /proc/uptime");
    case.set("/linux/timeOffsets", json!({ "boottime": { "secs": 1_000_000 } }));
    let inside: f64 = case.run().ok().parse().unwrap();
    assert!((inside - uptime() - 1_000_000.0).abs() < 60.0, "{inside}");
}

#[test]
fn a_negative_offset_is_fine() {
    let mut case = time_case("head -1 /proc/self/timens_offsets");
    case.set("/linux/timeOffsets", json!({ "monotonic": { "secs": -10 } }));
    assert!(case.run().ok().contains("-10"));
}

#[test]
fn offsets_hold_in_exec() {
    let mut case = Case::idle();
    case.namespace("time", None).set("/linux/timeOffsets", json!({ "boottime": { "secs": 5000 } }));
    case.detached();
    let said = case.exec(&["cat", "/proc/self/timens_offsets"]).ok();
    assert!(said.contains("5000"), "{said}");
}

#[test]
fn offsets_without_a_time_namespace_are_refused() {
    let mut case = Case::new();
    case.set("/linux/timeOffsets", json!({ "boottime": { "secs": 5000 } }));
    refused(&case);
}

#[test]
fn an_offset_of_an_unknown_clock_is_refused() {
    let mut case = time_case("true");
    case.set("/linux/timeOffsets", json!({ "realtime": { "secs": 5000 } }));
    refused(&case);
}
