//! Memory, processes, huge pages.

use super::{In::V1, In::V2, limits, refused};
use crate::support::{Case, cgroup_v2, json, skip};

limits! {
    a_memory_limit: ["memory/limit" = 67_108_864] => [V1("memory", "memory.limit_in_bytes", "67108864"), V2("memory.max", "67108864")];
    a_memory_limit_is_rounded_to_pages: ["memory/limit" = 67_108_865] => [V1("memory", "memory.limit_in_bytes", "67108864"), V2("memory.max", "67108864")];
    no_memory_limit: ["memory/limit" = (-1)] => [V1("memory", "memory.limit_in_bytes", "9223372036854771712"), V2("memory.max", "max")];
    a_reservation: ["memory/reservation" = 33_554_432] => [V1("memory", "memory.soft_limit_in_bytes", "33554432"), V2("memory.low", "33554432")];
    a_limit_with_a_reservation: ["memory/limit" = 67_108_864, "memory/reservation" = 33_554_432] =>
        [V1("memory", "memory.limit_in_bytes", "67108864"), V1("memory", "memory.soft_limit_in_bytes", "33554432"), V2("memory.max", "67108864"), V2("memory.low", "33554432")];
    a_limit_of_memory_and_swap: ["memory/limit" = 67_108_864, "memory/swap" = 134_217_728] =>
        [V1("memory", "memory.memsw.limit_in_bytes", "134217728"), V1("memory", "memory.limit_in_bytes", "67108864"), V2("memory.swap.max", "67108864")];
    no_swap: ["memory/limit" = 67_108_864, "memory/swap" = 67_108_864] => [V1("memory", "memory.memsw.limit_in_bytes", "67108864"), V2("memory.swap.max", "0")];
    swap_without_a_limit: ["memory/limit" = 67_108_864, "memory/swap" = (-1)] => [V1("memory", "memory.memsw.limit_in_bytes", "9223372036854771712"), V2("memory.swap.max", "max")];
    neither_limit: ["memory/limit" = (-1), "memory/swap" = (-1)] => [V1("memory", "memory.memsw.limit_in_bytes", "9223372036854771712"), V2("memory.swap.max", "max")];
    swappiness: ["memory/swappiness" = 20] => [V1("memory", "memory.swappiness", "20")];
    swappiness_of_zero: ["memory/swappiness" = 0] => [V1("memory", "memory.swappiness", "0")];
    the_killer_is_off: ["memory/disableOOMKiller" = true] => [V1("memory", "memory.oom_control", "oom_kill_disable 1")];
    the_killer_is_on: ["memory/disableOOMKiller" = false] => [V1("memory", "memory.oom_control", "oom_kill_disable 0")];
    a_limit_of_kernel_memory_is_ignored: ["memory/kernel" = 33_554_432, "memory/limit" = 67_108_864] => [V1("memory", "memory.kmem.limit_in_bytes", "9223372036854771712"), V2("memory.max", "67108864")];
    a_limit_of_processes: ["pids/limit" = 33] => [V1("pids", "pids.max", "33"), V2("pids.max", "33")];
    no_limit_of_processes: ["pids/limit" = (-1)] => [V1("pids", "pids.max", "max"), V2("pids.max", "max")];
    huge_pages: ["hugepageLimits" = [{ "pageSize": "2MB", "limit": 4_194_304 }]] => [V1("hugetlb", "hugetlb.2MB.limit_in_bytes", "4194304"), V2("hugetlb.2MB.max", "4194304")];
    huge_pages_that_are_reserved: ["hugepageLimits" = [{ "pageSize": "2MB", "limit": 4_194_304 }]] => [V1("hugetlb", "hugetlb.2MB.rsvd.limit_in_bytes", "4194304"), V2("hugetlb.2MB.rsvd.max", "4194304")];
    huge_pages_of_two_sizes: ["hugepageLimits" = [{ "pageSize": "2MB", "limit": 2_097_152 }, { "pageSize": "1GB", "limit": 1_073_741_824 }]] =>
        [V1("hugetlb", "hugetlb.2MB.limit_in_bytes", "2097152"), V1("hugetlb", "hugetlb.1GB.limit_in_bytes", "1073741824"), V2("hugetlb.1GB.max", "1073741824")];
    no_huge_pages: ["hugepageLimits" = [{ "pageSize": "2MB", "limit": 0 }]] => [V1("hugetlb", "hugetlb.2MB.limit_in_bytes", "0"), V2("hugetlb.2MB.max", "0")];
}

#[test]
fn a_limit_of_no_processes_is_one() {
    // A container has one at least; the number that means nothing in the configuration is not "no limit".
    super::limited(&[("pids/limit", json!(0))], &[V1("pids", "pids.max", "1"), V2("pids.max", "1")]);
}

#[test]
fn less_swap_than_memory_is_refused() {
    refused(&[("memory/limit", json!(67_108_864)), ("memory/swap", json!(33_554_432))]);
}

#[test]
fn a_limit_below_what_is_used_is_refused_or_ends_the_container() {
    // The kernel takes it and kills, or a runtime sees that nothing can run with it: never a container that seems to run.
    let mut case = Case::idle();
    case.set("/linux/resources/memory/limit", 4096);
    case.create().failed();
    case.nothing_left();
}

#[test]
fn an_unknown_size_of_huge_pages_is_refused() {
    refused(&[("hugepageLimits", json!([{ "pageSize": "3MB", "limit": 3_145_728 }]))]);
}

#[test]
fn a_swappiness_beyond_a_hundred_is_refused() {
    if cgroup_v2() {
        skip!("cgroup v2 has no swappiness");
    }
    refused(&[("memory/swappiness", json!(201))]);
}

#[test]
fn the_limit_holds() {
    let mut case = Case::sh("head -c 60000000 /dev/zero | tail -c 50000000 | wc -c; echo alive");
    case.set("/linux/resources/memory/limit", 33_554_432).set("/linux/resources/memory/swap", 33_554_432);
    // tail has all of it in memory.
    let said = case.run();
    assert!(!said.out.contains("50000000"), "{said}");
}

#[test]
fn a_container_that_is_killed_for_memory_ends_with_137() {
    let mut case = Case::new();
    case.set("/linux/resources/memory/limit", 33_554_432).set("/linux/resources/memory/swap", 33_554_432);
    case.set("/process/args", ["tail", "-c", "100000000", "/dev/zero"]);
    case.run().code(137);
}

#[test]
fn the_limit_of_processes_holds() {
    let mut case = Case::sh("for n in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all");
    case.set("/linux/resources/pids/limit", 4);
    let said = case.run();
    assert!(said.err.contains("fork") && !said.out.contains("all"), "{said}");
}
