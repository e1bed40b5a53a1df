//! `update`: limits of a container that is there.

mod file;

use crate::support::{Case, Value, cgroup_v2, json, note_skip};

/// A running container with these resources.
fn running(resources: &[(&str, Value)]) -> Case {
    let mut case = Case::idle();
    for (pointer, value) in resources {
        case.set(&format!("/linux/resources/{pointer}"), value.clone());
    }
    case.detached();
    case
}

/// What stands in a file of version 1 or 2 of the container.
fn read(case: &Case, v1: (&str, &str), v2: &str) -> Option<String> {
    if cgroup_v2() { case.cgroup_file("", v2) } else { case.cgroup_file(v1.0, v1.1) }
}

/// Updates a container by options and looks.
#[track_caller]
fn updated(before: &[(&str, Value)], options: &[&str], v1: (&str, &str, &str), v2: (&str, &str)) {
    let case = running(before);
    case.call(&[&["update"], options, &[case.id()]].concat()).code(0);
    looked(&case, v1, v2);
}

/// Asserts a file of either version; an empty name is for a version that has none.
#[track_caller]
fn looked(case: &Case, v1: (&str, &str, &str), v2: (&str, &str)) {
    let expected = if cgroup_v2() { v2.1 } else { v1.2 };
    match read(case, (v1.0, v1.1), v2.0) {
        Some(text) if !expected.is_empty() => assert_eq!(text, expected, "{} or {}", v1.1, v2.0),
        _ => note_skip(&format!("neither {} nor {} is to be seen here", v1.1, v2.0)),
    }
}

macro_rules! updates {
    ($($name:ident: [$($pointer:literal = $value:tt),*], $options:expr => $v1:expr, $v2:expr;)*) => {
        $(#[test]
        fn $name() {
            updated(&[$(($pointer, json!($value))),*], &$options, $v1, $v2);
        })*
    };
}

const MEMORY: (&str, &str) = ("memory", "memory.limit_in_bytes");

updates! {
    memory: [], ["--memory", "67108864"] => (MEMORY.0, MEMORY.1, "67108864"), ("memory.max", "67108864");
    memory_in_megabytes: [], ["--memory", "50M"] => (MEMORY.0, MEMORY.1, "52428800"), ("memory.max", "52428800");
    memory_in_small_letters: [], ["--memory", "50m"] => (MEMORY.0, MEMORY.1, "52428800"), ("memory.max", "52428800");
    memory_in_kilobytes: [], ["--memory", "65536k"] => (MEMORY.0, MEMORY.1, "67108864"), ("memory.max", "67108864");
    memory_in_gigabytes: [], ["--memory", "1g"] => (MEMORY.0, MEMORY.1, "1073741824"), ("memory.max", "1073741824");
    memory_in_words: [], ["--memory", "64MB"] => (MEMORY.0, MEMORY.1, "67108864"), ("memory.max", "67108864");
    memory_without_a_limit: ["memory/limit" = 67_108_864], ["--memory", "-1"] => (MEMORY.0, MEMORY.1, "9223372036854771712"), ("memory.max", "max");
    more_memory: ["memory/limit" = 33_554_432], ["--memory", "67108864"] => (MEMORY.0, MEMORY.1, "67108864"), ("memory.max", "67108864");
    less_memory: ["memory/limit" = 67_108_864], ["--memory", "33554432"] => (MEMORY.0, MEMORY.1, "33554432"), ("memory.max", "33554432");
    a_reservation: [], ["--memory-reservation", "33554432"] => ("memory", "memory.soft_limit_in_bytes", "33554432"), ("memory.low", "33554432");
    memory_and_swap: [], ["--memory", "64M", "--memory-swap", "96M"] => ("memory", "memory.memsw.limit_in_bytes", "100663296"), ("memory.swap.max", "33554432");
    memory_and_swap_from_less: ["memory/limit" = 33_554_432, "memory/swap" = 33_554_432], ["--memory", "64M", "--memory-swap", "96M"] => ("memory", "memory.memsw.limit_in_bytes", "100663296"), ("memory.swap.max", "33554432");
    memory_and_swap_from_more: ["memory/limit" = 268_435_456, "memory/swap" = 536_870_912], ["--memory", "64M", "--memory-swap", "96M"] => ("memory", "memory.memsw.limit_in_bytes", "100663296"), ("memory.swap.max", "33554432");
    memory_and_swap_without_limits: ["memory/limit" = 33_554_432, "memory/swap" = 33_554_432], ["--memory", "-1", "--memory-swap", "-1"] => ("memory", "memory.memsw.limit_in_bytes", "9223372036854771712"), ("memory.swap.max", "max");
    memory_without_a_limit_takes_that_of_swap_along: ["memory/limit" = 33_554_432, "memory/swap" = 33_554_432], ["--memory", "-1"] => ("memory", "memory.memsw.limit_in_bytes", "9223372036854771712"), ("memory.swap.max", "max");
    swap_alone: ["memory/limit" = 33_554_432], ["--memory-swap", "64M"] => ("memory", "memory.memsw.limit_in_bytes", "67108864"), ("memory.swap.max", "33554432");
    shares: [], ["--cpu-share", "200"] => ("cpu", "cpu.shares", "200"), ("cpu.weight", "");
    a_quota: [], ["--cpu-quota", "50000"] => ("cpu", "cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000");
    a_period: ["cpu/quota" = 50_000, "cpu/period" = 100_000], ["--cpu-period", "200000"] => ("cpu", "cpu.cfs_period_us", "200000"), ("cpu.max", "50000 200000");
    a_quota_and_a_period: [], ["--cpu-quota", "30000", "--cpu-period", "60000"] => ("cpu", "cpu.cfs_quota_us", "30000"), ("cpu.max", "30000 60000");
    no_quota: ["cpu/quota" = 50_000], ["--cpu-quota", "-1"] => ("cpu", "cpu.cfs_quota_us", "-1"), ("cpu.max", "max 100000");
    a_burst: ["cpu/quota" = 50_000], ["--cpu-burst", "30000"] => ("cpu", "cpu.cfs_burst_us", "30000"), ("cpu.max.burst", "30000");
    idle: [], ["--cpu-idle", "1"] => ("cpu", "cpu.idle", "1"), ("cpu.idle", "1");
    not_idle: ["cpu/idle" = 1], ["--cpu-idle", "0"] => ("cpu", "cpu.idle", "0"), ("cpu.idle", "0");
    processors: [], ["--cpuset-cpus", "1"] => ("cpuset", "cpuset.cpus", "1"), ("cpuset.cpus", "1");
    nodes: [], ["--cpuset-mems", "0"] => ("cpuset", "cpuset.mems", "0"), ("cpuset.mems", "0");
    processes: [], ["--pids-limit", "77"] => ("pids", "pids.max", "77"), ("pids.max", "77");
    processes_without_a_limit: ["pids/limit" = 33], ["--pids-limit", "-1"] => ("pids", "pids.max", "max"), ("pids.max", "max");
    fewer_processes: ["pids/limit" = 33], ["--pids-limit", "10"] => ("pids", "pids.max", "10"), ("pids.max", "10");
    a_weight: [], ["--blkio-weight", "300"] => ("blkio", "blkio.bfq.weight", "300"), ("io.bfq.weight", "");
    kernel_memory_is_ignored: ["memory/limit" = 67_108_864], ["--kernel-memory", "33554432", "--pids-limit", "30"] => (MEMORY.0, MEMORY.1, "67108864"), ("memory.max", "67108864");
    a_real_time_period: [], ["--cpu-rt-period", "900000"] => ("cpu", "cpu.rt_period_us", "900000"), ("", "");
    a_real_time_budget: [], ["--cpu-rt-runtime", "1000"] => ("cpu", "cpu.rt_runtime_us", "1000"), ("", "");
    all_of_memory_at_once: [], ["--memory", "64M", "--memory-swap", "96M", "--memory-reservation", "32M"] => ("memory", "memory.soft_limit_in_bytes", "33554432"), ("memory.low", "33554432");
}

/// Values that are not named stay.
macro_rules! untouched {
    ($($name:ident: [$pointer:literal = $value:tt], $options:expr => $v1:expr, $v2:expr;)*) => {
        $(#[test]
        fn $name() {
            updated(&[($pointer, json!($value))], &$options, $v1, $v2);
        })*
    };
}

untouched! {
    memory_stays: ["memory/limit" = 67_108_864], ["--pids-limit", "30"] => (MEMORY.0, MEMORY.1, "67108864"), ("memory.max", "67108864");
    processes_stay: ["pids/limit" = 33], ["--memory", "64M"] => ("pids", "pids.max", "33"), ("pids.max", "33");
    shares_stay: ["cpu/shares" = 300], ["--memory", "64M"] => ("cpu", "cpu.shares", "300"), ("cpu.weight", "");
    a_quota_stays: ["cpu/quota" = 50_000], ["--cpu-share", "300"] => ("cpu", "cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000");
    a_quota_stays_beside_a_new_period: ["cpu/quota" = 50_000], ["--cpu-period", "200000"] => ("cpu", "cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 200000");
    processors_stay: ["cpu/cpus" = "1"], ["--memory", "64M"] => ("cpuset", "cpuset.cpus", "1"), ("cpuset.cpus", "1");
    a_reservation_stays: ["memory/reservation" = 33_554_432], ["--memory", "64M"] => ("memory", "memory.soft_limit_in_bytes", "33554432"), ("memory.low", "33554432");
}

#[test]
fn a_second_update_keeps_what_the_first_set() {
    let case = running(&[]);
    case.call(&["update", "--memory", "64M", case.id()]).code(0);
    case.call(&["update", "--pids-limit", "44", case.id()]).code(0);
    looked(&case, (MEMORY.0, MEMORY.1, "67108864"), ("memory.max", "67108864"));
    looked(&case, ("pids", "pids.max", "44"), ("pids.max", "44"));
}

#[test]
fn options_may_follow_the_id() {
    let case = running(&[]);
    case.call(&["update", case.id(), "--pids-limit", "44"]).code(0);
    looked(&case, ("pids", "pids.max", "44"), ("pids.max", "44"));
}

#[test]
fn a_created_container_can_be_updated_and_starts_so() {
    let case = Case::sh("sleep 1000");
    case.create().code(0);
    case.call(&["update", "--pids-limit", "44", case.id()]).code(0);
    case.start().code(0);
    looked(&case, ("pids", "pids.max", "44"), ("pids.max", "44"));
}

#[test]
fn a_paused_container_is_updated_and_stays_paused() {
    let case = running(&[]);
    case.call(&["pause", case.id()]).code(0);
    case.call(&["update", "--pids-limit", "44", case.id()]).code(0);
    assert_eq!(case.status(), "paused");
    looked(&case, ("pids", "pids.max", "44"), ("pids.max", "44"));
}

#[test]
fn no_option_at_all_is_no_harm() {
    let case = running(&[("pids/limit", json!(33))]);
    let _ = case.call(&["update", case.id()]);
    looked(&case, ("pids", "pids.max", "33"), ("pids.max", "33"));
}

macro_rules! refused {
    ($($name:ident: $options:expr;)*) => {
        $(#[test]
        fn $name() {
            let case = running(&[("memory/limit", json!(67_108_864)), ("pids/limit", json!(33))]);
            case.call(&[&["update"], &$options[..], &[case.id()]].concat()).failed();
            looked(&case, (MEMORY.0, MEMORY.1, "67108864"), ("memory.max", "67108864"));
            looked(&case, ("pids", "pids.max", "33"), ("pids.max", "33"));
            assert_eq!(case.status(), "running");
        })*
    };
}

refused! {
    memory_that_is_no_number_is_refused: ["--memory", "much"];
    processes_that_are_no_number_are_refused: ["--pids-limit", "many"];
    shares_that_are_no_number_are_refused: ["--cpu-share", "x"];
    less_swap_than_memory_is_refused: ["--memory-swap", "1M"];
    an_unknown_option_is_refused: ["--no-such-option", "1"];
    an_unknown_processor_is_refused: ["--cpuset-cpus", "4000"];
    an_idle_beyond_one_is_refused: ["--cpu-idle", "7"];
    a_quota_too_small_is_refused: ["--cpu-quota", "10"];
    a_cache_without_its_processor_is_refused: ["--l3-cache-schema", "L3:0=f"];
    a_bandwidth_without_its_processor_is_refused: ["--mem-bw-schema", "MB:0=20"];
}

#[test]
fn a_container_that_is_not_there_is_refused() {
    Case::new().call(&["update", "--pids-limit", "10", "no-such-container"]).failed();
}
