//! The scheduler, priorities of processors, disks and memory, affinity, personality and the key ring.

use crate::support::{Case, Said, Value, controller, json, skip};
use std::process::Command;

/// Fields of /proc/PID/stat from the third on (proc_pid_stat(5)): `field(stat, 41)` is the policy.
fn field(stat: &str, number: usize) -> i64 {
    let rest = stat.rsplit_once(") ").unwrap().1;
    rest.split(' ').nth(number - 3).unwrap().parse().unwrap()
}

const NICE: usize = 19;
const PRIORITY: usize = 40;
const POLICY: usize = 41;

/// A container that stays, with this scheduler.
fn with(scheduler: Value) -> Case {
    let mut case = Case::idle();
    if scheduler["policy"] == "SCHED_FIFO" || scheduler["policy"] == "SCHED_RR" {
        // Where real-time time is given to control groups, a new one has none.
        if let Some(true) = controller("cpu", "").map(|top| top.join("cpu.rt_runtime_us").exists()) {
            case.set("/linux/resources/cpu", json!({ "realtimeRuntime": 1000, "realtimePeriod": 1_000_000 }));
        }
    }
    case.set("/process/scheduler", scheduler);
    case
}

#[track_caller]
fn stat(scheduler: Value) -> String {
    let case = with(scheduler);
    case.detached();
    case.proc("stat")
}

#[track_caller]
fn refused(scheduler: Value) -> Said {
    let case = with(scheduler);
    let said = case.create().failed();
    case.nothing_left();
    said
}

#[test]
fn other_with_a_nice_value() {
    let stat = stat(json!({ "policy": "SCHED_OTHER", "nice": 7 }));
    assert_eq!((field(&stat, POLICY), field(&stat, NICE)), (0, 7));
}

#[test]
fn batch() {
    let stat = stat(json!({ "policy": "SCHED_BATCH", "nice": 19 }));
    assert_eq!((field(&stat, POLICY), field(&stat, NICE)), (3, 19));
}

#[test]
fn idle() {
    assert_eq!(field(&stat(json!({ "policy": "SCHED_IDLE" })), POLICY), 5);
}

/// Whether a policy of real time can be had here: real-time time belongs to the group, and other groups may have it all.
fn real_time_works() -> bool {
    Command::new("chrt")
        .args(["-f", "1", "true"])
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[test]
fn first_in_first_out_with_a_priority() {
    if !real_time_works() {
        skip!("this machine gives no real-time policy: needs CAP_SYS_NICE");
    }
    let stat = stat(json!({ "policy": "SCHED_FIFO", "priority": 11 }));
    assert_eq!((field(&stat, POLICY), field(&stat, PRIORITY)), (1, 11));
}

#[test]
fn round_robin_with_a_flag() {
    if !real_time_works() {
        skip!("this machine gives no real-time policy: needs CAP_SYS_NICE");
    }
    let stat = stat(json!({ "policy": "SCHED_RR", "priority": 3, "flags": ["SCHED_FLAG_RESET_ON_FORK"] }));
    assert_eq!((field(&stat, POLICY), field(&stat, PRIORITY)), (2, 3));
}

#[test]
fn deadline() {
    let words = [
        "-d",
        "--sched-runtime",
        "10000",
        "--sched-deadline",
        "1000000",
        "--sched-period",
        "1000000",
        "0",
        "true",
    ];
    if !Command::new("chrt").args(words).status().is_ok_and(|status| status.success()) {
        skip!("this machine gives no deadline policy: needs CAP_SYS_NICE and a root cpuset");
    }
    let stat = stat(
        json!({ "policy": "SCHED_DEADLINE", "runtime": 10_000, "deadline": 1_000_000, "period": 1_000_000 }),
    );
    assert_eq!(field(&stat, POLICY), 6);
}

#[test]
fn an_unknown_policy_is_refused() {
    refused(json!({ "policy": "SCHED_NONE" }));
}

#[test]
fn an_empty_policy_is_refused() {
    refused(json!({ "policy": "" }));
}

#[test]
fn an_unknown_flag_is_refused() {
    refused(json!({ "policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NONE"] }));
}

#[test]
fn a_nice_value_beyond_the_range_is_refused() {
    refused(json!({ "policy": "SCHED_OTHER", "nice": 20 }));
    refused(json!({ "policy": "SCHED_BATCH", "nice": -21 }));
}

#[test]
fn a_priority_for_a_policy_without_one_is_refused() {
    refused(json!({ "policy": "SCHED_OTHER", "priority": 5 }));
}

#[test]
fn a_deadline_for_another_policy_is_refused() {
    refused(
        json!({ "policy": "SCHED_OTHER", "runtime": 10_000, "deadline": 1_000_000, "period": 1_000_000 }),
    );
}

#[test]
fn a_deadline_with_processors_of_its_own_is_refused_with_a_reason() {
    let mut case = with(
        json!({ "policy": "SCHED_DEADLINE", "runtime": 10_000, "deadline": 1_000_000, "period": 1_000_000 }),
    );
    case.set("/linux/resources/cpu/cpus", "0");
    case.create().failed().complains("process scheduler can't be used together with AllowedCPUs");
    case.nothing_left();
}

#[test]
fn exec_has_the_scheduler_of_its_process_file() {
    let case = Case::idle();
    case.detached();
    let process = json!({
        "args": ["cat", "/proc/self/stat"], "env": ["PATH=/bin"], "cwd": "/", "user": { "uid": 0, "gid": 0 },
        "scheduler": { "policy": "SCHED_BATCH", "nice": 5 }
    });
    std::fs::write(case.base().join("process.json"), process.to_string()).unwrap();
    let stat = case.exec_with(&["--process", &case.path("process.json")], &[]).ok();
    assert_eq!((field(&stat, POLICY), field(&stat, NICE)), (3, 5));
}

#[test]
fn exec_has_the_scheduler_of_the_container() {
    let case = with(json!({ "policy": "SCHED_BATCH", "nice": 4 }));
    case.detached();
    let stat = case.exec(&["cat", "/proc/self/stat"]).ok();
    assert_eq!((field(&stat, POLICY), field(&stat, NICE)), (3, 4));
}

/// The priority that ionice(1) tells of the container's first process.
#[track_caller]
fn io_priority(class: &str, priority: i64) -> String {
    let mut case = Case::idle();
    case.set("/process/ioPriority", json!({ "class": class, "priority": priority }));
    case.detached();
    let mut command = Command::new("ionice");
    command.args(["-p", &case.pid().to_string()]);
    case.end(command).ok()
}

#[test]
fn io_best_effort() {
    assert_eq!(io_priority("IOPRIO_CLASS_BE", 6), "best-effort: prio 6");
}

#[test]
fn io_idle() {
    assert_eq!(io_priority("IOPRIO_CLASS_IDLE", 0), "idle");
}

#[test]
fn io_real_time() {
    assert_eq!(io_priority("IOPRIO_CLASS_RT", 2), "realtime: prio 2");
}

#[test]
fn io_of_an_unknown_class_is_refused() {
    let mut case = Case::new();
    case.set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_NONE_SUCH", "priority": 1 }));
    case.create().failed();
    case.nothing_left();
}

#[test]
fn io_beyond_the_range_is_refused() {
    for priority in [-1, 8] {
        let mut case = Case::new();
        case.set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_BE", "priority": priority }));
        case.create().failed();
        case.nothing_left();
    }
}

#[test]
fn exec_has_the_io_priority_of_its_process_file() {
    let case = Case::idle();
    case.detached();
    let process = json!({
        "args": ["ionice"], "env": ["PATH=/bin"], "cwd": "/", "user": { "uid": 0, "gid": 0 },
        "ioPriority": { "class": "IOPRIO_CLASS_BE", "priority": 1 }
    });
    std::fs::write(case.base().join("process.json"), process.to_string()).unwrap();
    let said = case.exec_with(&["--process", &case.path("process.json")], &[]).ok();
    assert!(said.contains("best-effort") && said.ends_with('1'), "{said}");
}

/// The processors that a status file allows.
fn allowed(status: &str) -> String {
    let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap();
    line.split_whitespace().last().unwrap().to_owned()
}

#[test]
fn the_callers_affinity_is_not_inherited() {
    let case = Case::idle();
    let inner = case.bundled("run", &["--detach"]);
    let mut command = Command::new("taskset");
    command
        .args(["-c", "0"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .stdin(std::process::Stdio::null());
    case.end(command).code(0);
    let all = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
    assert_eq!(allowed(&case.proc("status")), all.trim());
}

#[test]
fn the_affinity_is_the_processors_of_the_control_group() {
    let mut case = Case::idle();
    case.set("/linux/resources/cpu/cpus", "1");
    case.detached();
    assert_eq!(allowed(&case.proc("status")), "1");
    assert_eq!(allowed(&case.exec(&["cat", "/proc/self/status"]).ok()), "1");
}

#[test]
fn a_personality_of_32_bits() {
    for domain in ["LINUX32", "LINUX"] {
        let mut case = Case::sh("uname -m");
        case.set("/linux/personality/domain", domain);
        let machine = case.run().ok();
        assert_eq!(machine, if domain == "LINUX32" { "i686" } else { "x86_64" });
    }
}

#[test]
fn a_personality_holds_in_exec() {
    let mut case = Case::idle();
    case.set("/linux/personality/domain", "LINUX32");
    case.detached();
    assert_eq!(case.exec(&["uname", "-m"]).ok(), "i686");
}

#[test]
fn an_unknown_personality_is_refused() {
    let mut case = Case::new();
    case.set("/linux/personality/domain", "LINUX16");
    case.create().failed();
    case.nothing_left();
}

/// The policy of the first mapping of memory, after its address.
#[track_caller]
fn memory_policy(policy: Value, shown: &str) {
    let mut case = Case::new();
    case.set("/process/args", ["cat", "/proc/self/numa_maps"]).set("/linux/memoryPolicy", policy);
    let said = case.run().ok();
    let line = said.lines().next().unwrap();
    let (_, policy) = line.split_once(' ').unwrap();
    assert!(policy.starts_with(&format!("{shown} ")), "{line}");
}

macro_rules! memory_policies {
    ($($name:ident: $policy:tt => $shown:literal;)*) => {
        $(#[test]
        fn $name() {
            memory_policy(json!($policy), $shown);
        })*
    };
}

memory_policies! {
    memory_default: { "mode": "MPOL_DEFAULT" } => "default";
    memory_bind: { "mode": "MPOL_BIND", "nodes": "0" } => "bind:0";
    memory_interleave: { "mode": "MPOL_INTERLEAVE", "nodes": "0" } => "interleave:0";
    memory_weighted_interleave: { "mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0" } => "weighted interleave:0";
    memory_preferred: { "mode": "MPOL_PREFERRED", "nodes": "0" } => "prefer:0";
    memory_preferred_many: { "mode": "MPOL_PREFERRED_MANY", "nodes": "0" } => "prefer (many):0";
    memory_local: { "mode": "MPOL_LOCAL" } => "local";
    memory_bind_static: { "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"] } => "bind=static:0";
    memory_bind_relative: { "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"] } => "bind=relative:0";
}

#[track_caller]
fn memory_refused(policy: Value) -> Said {
    let mut case = Case::new();
    case.set("/linux/memoryPolicy", policy);
    let said = case.run().failed();
    case.nothing_left();
    said
}

#[test]
fn memory_of_an_unknown_mode_is_refused() {
    memory_refused(json!({ "mode": "MPOL_NONE", "nodes": "0" })).complains("invalid memory policy mode");
}

#[test]
fn memory_with_an_unknown_flag_is_refused() {
    memory_refused(json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NONE"] }))
        .complains("invalid memory policy flag");
}

#[test]
fn memory_of_nodes_that_are_no_numbers_is_refused() {
    memory_refused(json!({ "mode": "MPOL_BIND", "nodes": "a-b" })).complains("invalid memory policy node");
}

#[test]
fn memory_bound_to_no_node_is_refused() {
    memory_refused(json!({ "mode": "MPOL_BIND" }));
}

/// A container that may see its keys.
fn showing_keys() -> Case {
    let mut case = Case::new();
    case.set("/process/args", ["cat", "/proc/keys"]).unset("/linux/maskedPaths");
    case
}

#[test]
fn the_key_ring_is_named_after_the_container() {
    let case = showing_keys();
    let said = case.run().ok();
    assert!(said.contains(&format!("_ses.{}", case.id())), "{said}");
}

#[test]
fn no_key_ring_is_made_when_told_so() {
    let case = showing_keys();
    let said = case.run_with(&["--no-new-keyring"]).code(0);
    assert!(!said.out.contains(case.id()), "{said}");
}
