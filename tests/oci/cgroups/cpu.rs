//! Processor time, and which processors.

use super::{In::V1, In::V2, limits, refused};
use crate::support::{Case, json, remove_group};

limits! {
    shares: ["cpu/shares" = 512] => [V1("cpu", "cpu.shares", "512")];
    few_shares: ["cpu/shares" = 2] => [V1("cpu", "cpu.shares", "2"), V2("cpu.weight", "1")];
    many_shares: ["cpu/shares" = 262_144] => [V1("cpu", "cpu.shares", "262144"), V2("cpu.weight", "10000")];
    shares_below_the_least: ["cpu/shares" = 1] => [V2("cpu.weight", "1")];
    no_shares: ["cpu/shares" = 0] => [V1("cpu", "cpu.shares", "1024"), V2("cpu.weight", "100")];
    a_quota_and_a_period: ["cpu/quota" = 25_000, "cpu/period" = 50_000] => [V1("cpu", "cpu.cfs_quota_us", "25000"), V1("cpu", "cpu.cfs_period_us", "50000"), V2("cpu.max", "25000 50000")];
    a_quota_alone: ["cpu/quota" = 25_000] => [V1("cpu", "cpu.cfs_quota_us", "25000"), V1("cpu", "cpu.cfs_period_us", "100000"), V2("cpu.max", "25000 100000")];
    a_period_alone: ["cpu/period" = 50_000] => [V1("cpu", "cpu.cfs_quota_us", "-1"), V1("cpu", "cpu.cfs_period_us", "50000"), V2("cpu.max", "max 50000")];
    no_quota: ["cpu/quota" = (-1)] => [V1("cpu", "cpu.cfs_quota_us", "-1"), V2("cpu.max", "max 100000")];
    no_quota_with_a_period: ["cpu/quota" = (-1), "cpu/period" = 50_000] => [V1("cpu", "cpu.cfs_quota_us", "-1"), V1("cpu", "cpu.cfs_period_us", "50000"), V2("cpu.max", "max 50000")];
    a_burst: ["cpu/quota" = 50_000, "cpu/burst" = 20_000] => [V1("cpu", "cpu.cfs_burst_us", "20000"), V2("cpu.max.burst", "20000")];
    no_burst: ["cpu/quota" = 50_000, "cpu/burst" = 0] => [V1("cpu", "cpu.cfs_burst_us", "0"), V2("cpu.max.burst", "0")];
    idle: ["cpu/idle" = 1] => [V1("cpu", "cpu.idle", "1"), V2("cpu.idle", "1")];
    not_idle: ["cpu/idle" = 0] => [V1("cpu", "cpu.idle", "0"), V2("cpu.idle", "0")];
    real_time: ["cpu/realtimePeriod" = 900_000, "cpu/realtimeRuntime" = 1000] => [V1("cpu", "cpu.rt_period_us", "900000"), V1("cpu", "cpu.rt_runtime_us", "1000")];
    a_real_time_period_alone: ["cpu/realtimePeriod" = 900_000] => [V1("cpu", "cpu.rt_period_us", "900000")];
    a_real_time_budget_alone: ["cpu/realtimeRuntime" = 1000] => [V1("cpu", "cpu.rt_runtime_us", "1000")];
    all_at_once: ["cpu/shares" = 512, "cpu/quota" = 25_000, "cpu/period" = 50_000, "cpu/cpus" = "0"] =>
        [V1("cpu", "cpu.shares", "512"), V1("cpu", "cpu.cfs_quota_us", "25000"), V1("cpuset", "cpuset.cpus", "0"), V2("cpu.max", "25000 50000"), V2("cpuset.cpus", "0")];
    one_processor: ["cpu/cpus" = "0"] => [V1("cpuset", "cpuset.cpus", "0"), V2("cpuset.cpus", "0")];
    a_range_of_processors: ["cpu/cpus" = "0-1"] => [V1("cpuset", "cpuset.cpus", "0-1"), V2("cpuset.cpus", "0-1")];
    a_node_of_memory: ["cpu/mems" = "0"] => [V1("cpuset", "cpuset.mems", "0"), V2("cpuset.mems", "0")];
    a_processor_and_a_node: ["cpu/cpus" = "1", "cpu/mems" = "0"] => [V1("cpuset", "cpuset.cpus", "1"), V1("cpuset", "cpuset.mems", "0"), V2("cpuset.cpus", "1")];
}

#[test]
fn without_a_word_the_processors_are_those_above() {
    let case = Case::idle();
    let Some(above) = crate::support::controller("cpuset", "").filter(|_| !crate::support::cgroup_v2())
    else {
        crate::support::skip!("cgroup v2 inherits processors by itself");
    };
    case.create().code(0);
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let expected = std::fs::read_to_string(above.join(file)).unwrap();
        assert_eq!(case.cgroup_file("cpuset", file).unwrap(), expected.trim());
    }
}

#[test]
fn without_a_word_the_processors_are_those_of_a_parent_that_is_made() {
    let mut case = Case::idle();
    let path = format!("{}/deep/deeper", case.cgroup());
    case.set("/linux/cgroupsPath", path.clone());
    case.create().code(0);
    if let Some(folder) = crate::support::controller("cpuset", &path).filter(|_| !crate::support::cgroup_v2())
    {
        assert!(!std::fs::read_to_string(folder.join("cpuset.cpus")).unwrap().trim().is_empty());
    }
    case.delete_force().code(0);
    remove_group(&case.cgroup());
}

#[test]
fn the_processors_hold() {
    let mut case = Case::sh("grep Cpus_allowed_list /proc/self/status | tr -d '\t'");
    case.set("/linux/resources/cpu/cpus", "1");
    assert_eq!(case.run().ok(), "Cpus_allowed_list:1");
}

#[test]
fn a_callers_own_affinity_does_not_matter() {
    let mut case = Case::sh("grep Cpus_allowed_list /proc/self/status | tr -d '\t'");
    case.set("/linux/resources/cpu/cpus", "0-1");
    let inner = case.bundled("run", &[]);
    let mut command = std::process::Command::new("taskset");
    command.args(["-c", "1"]).arg(inner.get_program()).args(inner.get_args());
    assert_eq!(case.end(command).ok(), "Cpus_allowed_list:0-1");
}

#[test]
fn a_processor_that_is_not_there_is_refused() {
    refused(&[("cpu/cpus", json!("4000"))]);
}

#[test]
fn a_node_that_is_not_there_is_refused() {
    refused(&[("cpu/mems", json!("99"))]);
}

#[test]
fn processors_that_are_no_list_are_refused() {
    refused(&[("cpu/cpus", json!("some"))]);
}

#[test]
fn a_period_too_short_is_refused() {
    refused(&[("cpu/period", json!(10))]);
}

#[test]
fn a_quota_too_small_is_refused() {
    refused(&[("cpu/quota", json!(10)), ("cpu/period", json!(100_000))]);
}

#[test]
fn a_burst_beyond_the_quota_is_refused() {
    refused(&[("cpu/quota", json!(20_000)), ("cpu/burst", json!(50_000))]);
}

#[test]
fn a_quota_within_a_parents() {
    // The order of quota and period matters when the parent has less than the kernel's default would ask for meanwhile.
    let mut case = Case::idle();
    let parent = case.cgroup();
    let Some(folder) = crate::support::controller("cpu", &parent) else {
        crate::support::skip!("no controller of processors here");
    };
    if crate::support::cgroup_v2() {
        crate::support::skip!("cgroup v2 asks nothing of a quota below a parent's");
    }
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("cpu.cfs_period_us"), "100000").unwrap();
    std::fs::write(folder.join("cpu.cfs_quota_us"), "20000").unwrap();
    case.set("/linux/cgroupsPath", format!("{parent}/below"));
    case.set("/linux/resources/cpu/quota", 5000).set("/linux/resources/cpu/period", 50_000);
    case.create().code(0);
    let read =
        |file: &str| std::fs::read_to_string(folder.join("below").join(file)).unwrap().trim().to_owned();
    let found = (read("cpu.cfs_quota_us"), read("cpu.cfs_period_us"));
    case.delete_force().code(0);
    remove_group(&parent);
    assert_eq!(found, ("5000".to_owned(), "50000".to_owned()));
}
