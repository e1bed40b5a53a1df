//! Limits of a process: rlimits, its score when memory runs out.

use crate::support::{Case, Value, json, skip};

/// What /proc/self/limits says of a limit: soft and hard.
#[track_caller]
fn limits(kind: &str, soft: u64, hard: u64, title: &str) {
    let mut case = Case::new();
    case.set("/process/args", ["cat", "/proc/self/limits"]);
    case.set("/process/rlimits", json!([{ "type": kind, "soft": soft, "hard": hard }]));
    let said = case.run().ok();
    let line =
        said.lines().find(|line| line.starts_with(title)).unwrap_or_else(|| panic!("no {title}: {said}"));
    let words: Vec<&str> = line[title.len()..].split_whitespace().collect();
    assert_eq!(words[..2], [soft.to_string(), hard.to_string()], "{line}");
}

/// The hard limit that this process has, which a container cannot raise without CAP_SYS_RESOURCE.
fn own_hard(title: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = text.lines().find(|line| line.starts_with(title)).unwrap();
    let word = line[title.len()..].split_whitespace().nth(1).unwrap();
    word.parse().unwrap_or(u64::MAX)
}

macro_rules! rlimits {
    ($($name:ident: $kind:literal, $soft:literal, $hard:literal, $title:literal;)*) => {
        $(#[test]
        fn $name() {
            let hard: u64 = $hard;
            if own_hard($title) < hard {
                skip!("the hard limit of this machine is {}: needs CAP_SYS_RESOURCE", own_hard($title));
            }
            limits($kind, $soft, hard, $title);
        })*
    };
}

rlimits! {
    address_space: "RLIMIT_AS", 8_000_000_000, 9_000_000_000, "Max address space";
    core: "RLIMIT_CORE", 0, 4096, "Max core file size";
    cpu: "RLIMIT_CPU", 1000, 2000, "Max cpu time";
    data: "RLIMIT_DATA", 1_000_000_000, 2_000_000_000, "Max data size";
    file_size: "RLIMIT_FSIZE", 1_000_000_000, 2_000_000_000, "Max file size";
    locks: "RLIMIT_LOCKS", 11, 12, "Max file locks";
    locked_memory: "RLIMIT_MEMLOCK", 4096, 8192, "Max locked memory";
    message_queues: "RLIMIT_MSGQUEUE", 4096, 8192, "Max msgqueue size";
    nice: "RLIMIT_NICE", 0, 0, "Max nice priority";
    files: "RLIMIT_NOFILE", 500, 600, "Max open files";
    processes: "RLIMIT_NPROC", 900, 1000, "Max processes";
    resident: "RLIMIT_RSS", 1_000_000_000, 2_000_000_000, "Max resident set";
    real_time_priority: "RLIMIT_RTPRIO", 0, 0, "Max realtime priority";
    real_time_time: "RLIMIT_RTTIME", 1_000_000, 2_000_000, "Max realtime timeout";
    signals: "RLIMIT_SIGPENDING", 100, 200, "Max pending signals";
    stack: "RLIMIT_STACK", 4_194_304, 8_388_608, "Max stack size";
}

#[test]
fn an_unknown_type_is_refused() {
    let mut case = Case::new();
    case.set("/process/rlimits", json!([{ "type": "RLIMIT_NONE", "soft": 1, "hard": 1 }]));
    let said = case.run().failed();
    assert!(said.err.contains("RLIMIT_NONE"), "{said}");
    case.nothing_left();
}

#[test]
fn a_soft_limit_above_the_hard_one_is_refused() {
    let mut case = Case::new();
    case.set("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 20, "hard": 10 }]));
    case.run().failed();
    case.nothing_left();
}

#[test]
fn a_tiny_limit_does_not_break_the_start() {
    for (kind, value) in
        [("RLIMIT_NPROC", 1), ("RLIMIT_NOFILE", 16), ("RLIMIT_FSIZE", 0), ("RLIMIT_AS", 20_000_000)]
    {
        let mut case = Case::new();
        case.set("/process/args", ["echo", "started"]);
        case.set("/process/rlimits", json!([{ "type": kind, "soft": value, "hard": value }]));
        let out = case.run_piped();
        assert_eq!(out, (0, "started\n".to_owned()), "{kind}");
    }
}

#[test]
fn no_limits_at_all_are_those_of_the_caller() {
    let mut case = Case::sh("ulimit -Hn");
    case.unset("/process/rlimits");
    let own = own_hard("Max open files");
    assert_eq!(case.run().ok(), own.to_string());
}

#[track_caller]
fn score(value: Value) -> String {
    let mut case = Case::new();
    case.set("/process/args", ["cat", "/proc/self/oom_score_adj"]).set("/process/oomScoreAdj", value);
    case.run().ok()
}

#[test]
fn a_score_is_set() {
    for value in [0, 100, 1000] {
        assert_eq!(score(json!(value)), value.to_string());
    }
}

#[test]
fn a_score_that_is_not_given_is_the_callers() {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let mut case = Case::new();
    case.set("/process/args", ["cat", "/proc/self/oom_score_adj"]);
    assert_eq!(case.run().ok(), own.trim());
}

#[test]
fn a_score_beyond_the_range_is_refused() {
    let mut case = Case::new();
    case.set("/process/oomScoreAdj", 1001);
    case.run().failed();
    case.nothing_left();
}
