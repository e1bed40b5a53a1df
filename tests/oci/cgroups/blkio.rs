//! Disks, networks, and what goes by file name (`unified`).

use super::{In, In::V1, limited, limits, refused};
use crate::support::{Value, cgroup_v2, json, skip};

limits! {
    a_weight_by_bfq: ["blockIO/weight" = 500] => [V1("blkio", "blkio.bfq.weight", "500")];
    the_least_weight: ["blockIO/weight" = 10] => [V1("blkio", "blkio.bfq.weight", "10")];
}

/// The numbers of a whole disk of this machine.
fn disk() -> Option<(u64, u64)> {
    let entries = std::fs::read_dir("/sys/block").ok()?.flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.starts_with("vd") || name.starts_with("sd") || name.starts_with("nvme"));
    names.sort();
    let text = std::fs::read_to_string(format!("/sys/block/{}/dev", names.first()?)).ok()?;
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A throttle of a disk, in this machine's file.
#[track_caller]
fn throttled(name: &str, rate: u64, v1: &str, v2: &str) {
    let Some((major, minor)) = disk() else { skip!("this machine has no disk to throttle") };
    let value = json!([{ "major": major, "minor": minor, "rate": rate }]);
    let (one, two) = (format!("{major}:{minor} {rate}"), format!("{major}:{minor} {v2}"));
    limited(&[(&format!("blockIO/{name}"), value)], &[V1("blkio", v1, &one), In::V2("io.max", &two)]);
}

macro_rules! throttles {
    ($($name:ident: $key:literal, $rate:literal => $v1:literal, $v2:literal;)*) => {
        $(#[test]
        fn $name() {
            throttled($key, $rate, $v1, $v2);
        })*
    };
}

throttles! {
    bytes_read_a_second: "throttleReadBpsDevice", 1_048_576 => "blkio.throttle.read_bps_device", "rbps=1048576 wbps=max riops=max wiops=max";
    bytes_written_a_second: "throttleWriteBpsDevice", 2_097_152 => "blkio.throttle.write_bps_device", "rbps=max wbps=2097152 riops=max wiops=max";
    reads_a_second: "throttleReadIOPSDevice", 100 => "blkio.throttle.read_iops_device", "rbps=max wbps=max riops=100 wiops=max";
    writes_a_second: "throttleWriteIOPSDevice", 200 => "blkio.throttle.write_iops_device", "rbps=max wbps=max riops=max wiops=200";
}

#[test]
fn a_disk_that_stands_twice_has_the_last() {
    let Some((major, minor)) = disk() else { skip!("this machine has no disk to throttle") };
    let one = |rate: u64| json!({ "major": major, "minor": minor, "rate": rate });
    let line = format!("{major}:{minor} 2097152");
    limited(
        &[("blockIO/throttleReadBpsDevice", Value::Array(vec![one(1_048_576), one(2_097_152)]))],
        &[V1("blkio", "blkio.throttle.read_bps_device", &line)],
    );
}

#[test]
fn a_disk_that_is_not_there_is_refused() {
    refused(&[("blockIO/throttleReadBpsDevice", json!([{ "major": 4000, "minor": 4000, "rate": 1000 }]))]);
}

#[test]
fn a_weight_beyond_the_greatest_is_refused() {
    refused(&[("blockIO/weight", json!(60_000))]);
}

#[test]
fn files_by_name_are_refused_in_version_one() {
    if cgroup_v2() {
        skip!("cgroup v2 has files by name");
    }
    let said = refused(&[("unified", json!({ "memory.max": "67108864" }))]);
    assert!(said.err.contains("invalid configuration"), "{said}");
}

#[test]
fn files_by_name() {
    limited(
        &[("unified", json!({ "memory.high": "67108864", "pids.max": "77" }))],
        &[In::V2("memory.high", "67108864"), In::V2("pids.max", "77")],
    );
}

#[test]
fn a_file_by_name_wins_over_a_limit() {
    limited(
        &[("pids/limit", json!(33)), ("unified", json!({ "pids.max": "77" }))],
        &[In::V2("pids.max", "77")],
    );
}

#[test]
fn a_file_by_name_that_is_a_path_is_refused() {
    refused(&[("unified", json!({ "../cgroup.procs": "1" }))]);
}

#[test]
fn rdma_without_a_controller_is_refused() {
    if std::fs::read_to_string("/proc/cgroups")
        .unwrap_or_default()
        .lines()
        .any(|line| line.starts_with("rdma"))
    {
        skip!("this machine has the controller rdma");
    }
    refused(&[("rdma", json!({ "mlx5_1": { "hcaHandles": 3, "hcaObjects": 10_000 } }))]);
}

#[test]
fn a_network_class() {
    limited(&[("network/classID", json!(1_048_577))], &[V1("net_cls", "net_cls.classid", "1048577")]);
}

#[test]
fn network_priorities() {
    limited(
        &[("network/priorities", json!([{ "name": "lo", "priority": 500 }]))],
        &[V1("net_prio", "net_prio.ifpriomap", "lo 500")],
    );
}
