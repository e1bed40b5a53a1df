//! Which system calls a trace shows.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

/// The `number`th call of this name in some process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) number: usize,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.name, self.number)
    }
}

impl Call {
    /// Whether it may be one that takes something away: its failure leaves that there, which the next removal finds.
    pub(crate) fn tidies(&self) -> bool {
        [
            "rmdir",
            "unlink",
            "unlinkat",
            "umount2",
            "kill",
            "pidfd_send_signal",
            "pidfd_open",
            "openat",
            "read",
            "poll",
            "ppoll",
        ]
        .contains(&self.name.as_str())
            || ["getdents64", "flock"].contains(&self.name.as_str())
    }
}

/// Calls that are left alone: those of the C library and of Rust's own start, which end the process when they fail (its memory, its
/// beginning and end, its signal handlers), and those that the kernel never refuses (`prlimit64` reads the caller's own limits).
const LEFT_ALONE: [&str; 25] = [
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "brk",
    "arch_prctl",
    "set_tid_address",
    "set_robust_list",
    "rseq",
    "exit",
    "exit_group",
    "rt_sigreturn",
    "rt_sigaction",
    "sigaltstack",
    "madvise",
    "futex",
    "execve",
    "umask",
    "getpid",
    "getuid",
    "geteuid",
    "close",
    "waitid",
    "prlimit64",
    "wait4",
];

/// Marks the end of the program's start: the scene's folder, which its own code is the first to name after `execve`.
const BEGIN: &str = "/sampan-faults-";

/// The calls in the output of `strace -f -o`, lines of `PID NAME(…`: for each name as many as the process has that makes most of them,
/// without those of the program's start.
pub(crate) fn calls(trace: &str) -> Vec<Call> {
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    let mut wanted: BTreeMap<&str, HashSet<usize>> = BTreeMap::new();
    let mut begun = false;
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let Some((name, _)) = rest.trim_start().split_once('(') else { continue };
        if name.contains(' ') || name.starts_with(['<', '-', '+']) {
            continue;
        }
        let count = counts.entry((pid, name)).or_default();
        *count += 1;
        begun |= name != "execve" && rest.contains(BEGIN);
        if begun && !LEFT_ALONE.contains(&name) {
            wanted.entry(name).or_default().insert(*count);
        }
    }
    let each = |(name, numbers): (&str, HashSet<usize>)| {
        let mut numbers: Vec<usize> = numbers.into_iter().collect();
        numbers.sort_unstable();
        numbers.into_iter().map(|number| Call { name: name.to_owned(), number }).collect::<Vec<_>>()
    };
    wanted.into_iter().flat_map(each).collect()
}

#[test]
fn a_trace_is_read() {
    let trace = "7 openat(AT_FDCWD) = 3\n7 mkdir(\"/t/sampan-faults-1/r\", 0700) = 0\n7 openat(1) = 3\n8 openat(1) = 1\n8 bind(3) = 0\n\
                 8 <... clone3 resumed>) = 0\n8 +++ exited with 0 +++\n7 brk(0) = 1\n";
    let found: Vec<String> = calls(trace).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["bind #1", "mkdir #1", "openat #1", "openat #2"]);
}
