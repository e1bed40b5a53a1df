//! Limits from a file or from standard input (`-r`).

use super::{MEMORY, looked, running};
use crate::support::{Case, Said, Value, json};
use std::io::Write as _;
use std::process::Stdio;

/// Updates by a file.
#[track_caller]
fn by_file(case: &Case, resources: &Value) -> Said {
    std::fs::write(case.base().join("resources.json"), resources.to_string()).unwrap();
    case.call(&["update", "-r", &case.path("resources.json"), case.id()])
}

/// Updates through standard input.
#[track_caller]
fn by_input(case: &Case, text: &str) -> i32 {
    let mut command = case.command(&["update", "-r", "-", case.id()]);
    command.stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = case.spawn(command);
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    case.reap(&mut child)
}

#[test]
fn a_file_with_everything() {
    let case = running(&[]);
    by_file(
        &case,
        &json!({
            "memory": { "limit": 67_108_864, "reservation": 33_554_432 },
            "cpu": { "shares": 0, "quota": 50_000, "period": 100_000, "cpus": "0" },
            "pids": { "limit": 55 }
        }),
    )
    .code(0);
    looked(&case, (MEMORY.0, MEMORY.1, "67108864"), ("memory.max", "67108864"));
    looked(&case, ("memory", "memory.soft_limit_in_bytes", "33554432"), ("memory.low", "33554432"));
    looked(&case, ("cpu", "cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000"));
    looked(&case, ("cpuset", "cpuset.cpus", "0"), ("cpuset.cpus", "0"));
    looked(&case, ("pids", "pids.max", "55"), ("pids.max", "55"));
}

#[test]
fn a_file_leaves_what_it_does_not_name() {
    let case = running(&[("memory/limit", json!(67_108_864)), ("cpu/quota", json!(50_000))]);
    by_file(&case, &json!({ "pids": { "limit": 55 } })).code(0);
    looked(&case, (MEMORY.0, MEMORY.1, "67108864"), ("memory.max", "67108864"));
    looked(&case, ("cpu", "cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000"));
    looked(&case, ("pids", "pids.max", "55"), ("pids.max", "55"));
}

#[test]
fn standard_input() {
    let case = running(&[]);
    assert_eq!(by_input(&case, r#"{"memory": {"limit": 67108864}, "pids": {"limit": 55}}"#), 0);
    looked(&case, (MEMORY.0, MEMORY.1, "67108864"), ("memory.max", "67108864"));
    looked(&case, ("pids", "pids.max", "55"), ("pids.max", "55"));
}

#[test]
fn standard_input_that_is_no_json_is_refused() {
    let case = running(&[("pids/limit", json!(33))]);
    assert_ne!(by_input(&case, "{not json"), 0);
    looked(&case, ("pids", "pids.max", "33"), ("pids.max", "33"));
}

#[test]
fn standard_input_that_is_empty_is_refused() {
    let case = running(&[("pids/limit", json!(33))]);
    assert_ne!(by_input(&case, ""), 0);
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let case = running(&[]);
    case.call(&["update", "-r", "/no/such/file", case.id()]).failed();
}

#[test]
fn the_long_name_of_the_option() {
    let case = running(&[]);
    std::fs::write(case.base().join("resources.json"), r#"{"pids": {"limit": 55}}"#).unwrap();
    case.call(&["update", "--resources", &case.path("resources.json"), case.id()]).code(0);
    looked(&case, ("pids", "pids.max", "55"), ("pids.max", "55"));
}

#[test]
fn an_idle_group_by_a_file() {
    let case = running(&[]);
    by_file(&case, &json!({ "cpu": { "idle": 1 } })).code(0);
    looked(&case, ("cpu", "cpu.idle", "1"), ("cpu.idle", "1"));
}

#[test]
fn disks_by_a_file() {
    let Ok(text) = std::fs::read_to_string("/sys/block/vda/dev") else {
        crate::support::skip!("this machine has no disk vda");
    };
    let (major, minor) = text.trim().split_once(':').unwrap();
    let case = running(&[]);
    let rate = |rate: u64| {
        json!({ "blockIO": { "throttleReadBpsDevice": [
        { "major": major.parse::<u64>().unwrap(), "minor": minor.parse::<u64>().unwrap(), "rate": rate }
    ] } })
    };
    for value in [1_048_576, 2_097_152] {
        by_file(&case, &rate(value)).code(0);
        looked(
            &case,
            ("blkio", "blkio.throttle.read_bps_device", &format!("{major}:{minor} {value}")),
            ("io.max", ""),
        );
    }
}

#[test]
fn files_by_name_in_an_update() {
    let case = running(&[]);
    let said = by_file(&case, &json!({ "unified": { "pids.max": "66" } }));
    if crate::support::cgroup_v2() {
        said.code(0);
        looked(&case, ("", "", ""), ("pids.max", "66"));
    } else {
        said.failed();
    }
}
