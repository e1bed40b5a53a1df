//! System call filters. The calls filtered are `mkdir` and `chmod`, by which the shell shows what it got.

mod notify;

use crate::support::{Case, Said, Value, json, skip};

/// Makes a folder and tells the exit code of that.
const MKDIR: &str = "mkdir /made; echo code $?";

/// A case with a filter that runs a script.
fn with(filter: Value, script: &str) -> Case {
    let mut case = Case::sh(script);
    case.set("/linux/seccomp", filter);
    case
}

/// A filter that allows everything but `mkdir`, for which it has this rule.
fn on_mkdir(rule: Value) -> Value {
    let mut rule = rule;
    rule["names"] = json!(["mkdir", "mkdirat"]);
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures(), "syscalls": [rule] })
}

fn architectures() -> Value {
    if cfg!(target_arch = "x86_64") {
        json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"])
    } else {
        json!(["SCMP_ARCH_AARCH64"])
    }
}

/// What mkdir under this rule says.
#[track_caller]
fn mkdir(rule: Value) -> Said {
    with(on_mkdir(rule), MKDIR).run().code(0)
}

#[test]
fn errno_is_operation_not_permitted_unless_given() {
    mkdir(json!({ "action": "SCMP_ACT_ERRNO" })).complains("Operation not permitted");
}

#[test]
fn errno_is_what_is_given() {
    mkdir(json!({ "action": "SCMP_ACT_ERRNO", "errnoRet": 95 })).complains("not supported");
    mkdir(json!({ "action": "SCMP_ACT_ERRNO", "errnoRet": 28 })).complains("No space left");
}

#[test]
fn allow_is_allowed() {
    assert!(mkdir(json!({ "action": "SCMP_ACT_ALLOW" })).out.contains("code 0"));
}

#[test]
fn log_is_allowed() {
    assert!(mkdir(json!({ "action": "SCMP_ACT_LOG" })).out.contains("code 0"));
}

#[test]
fn kill_ends_with_bad_system_call() {
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS"] {
        let said = mkdir(json!({ "action": action }));
        assert!(said.out.contains("code 159"), "{action}: {said}");
    }
}

#[test]
fn trap_is_a_signal() {
    let said = mkdir(json!({ "action": "SCMP_ACT_TRAP" }));
    assert!(said.out.contains("code 159"), "{said}");
}

#[test]
fn trace_without_a_tracer_is_not_implemented() {
    mkdir(json!({ "action": "SCMP_ACT_TRACE", "errnoRet": 1 })).complains("not implemented");
}

#[test]
fn the_process_is_in_filter_mode() {
    let said =
        with(on_mkdir(json!({ "action": "SCMP_ACT_ERRNO" })), "grep ^Seccomp /proc/self/status").run().ok();
    assert!(said.contains("Seccomp:\t2"), "{said}");
}

#[test]
fn without_a_filter_there_is_none() {
    let said = Case::sh("grep ^Seccomp: /proc/self/status").run().ok();
    assert_eq!(said, "Seccomp:\t0");
}

/// The calls that a shell, mkdir and a runtime's last steps need, without `mkdir`.
fn needed() -> Value {
    json!([
        "access",
        "arch_prctl",
        "brk",
        "capget",
        "capset",
        "chdir",
        "clone",
        "clone3",
        "close",
        "close_range",
        "dup",
        "dup2",
        "dup3",
        "epoll_create1",
        "epoll_ctl",
        "epoll_pwait",
        "execve",
        "execveat",
        "exit",
        "exit_group",
        "faccessat",
        "faccessat2",
        "fchdir",
        "fchown",
        "fcntl",
        "fork",
        "fstat",
        "fstatfs",
        "futex",
        "getcwd",
        "getdents64",
        "getegid",
        "geteuid",
        "getgid",
        "getpgrp",
        "getpid",
        "getppid",
        "getrandom",
        "gettid",
        "getuid",
        "ioctl",
        "kill",
        "lseek",
        "lstat",
        "madvise",
        "mmap",
        "mprotect",
        "munmap",
        "nanosleep",
        "newfstatat",
        "open",
        "openat",
        "openat2",
        "personality",
        "pipe2",
        "poll",
        "prctl",
        "pread64",
        "prlimit64",
        "read",
        "readlink",
        "readlinkat",
        "rseq",
        "rt_sigaction",
        "rt_sigprocmask",
        "rt_sigreturn",
        "sched_getaffinity",
        "sched_yield",
        "sendmsg",
        "recvmsg",
        "sendto",
        "recvfrom",
        "set_robust_list",
        "set_tid_address",
        "setgid",
        "setgroups",
        "setresgid",
        "setresuid",
        "setuid",
        "sigaltstack",
        "stat",
        "statfs",
        "statx",
        "tgkill",
        "umask",
        "uname",
        "unlink",
        "unlinkat",
        "vfork",
        "wait4",
        "waitid",
        "write",
        "writev",
        "setpgid",
        "setsid",
        "shutdown"
    ])
}

/// A filter that denies by default.
fn deny(default: Value) -> Value {
    let mut filter = default;
    filter["architectures"] = architectures();
    filter["syscalls"] = json!([{ "names": needed(), "action": "SCMP_ACT_ALLOW" }]);
    filter
}

#[test]
fn the_default_denies_what_no_rule_allows() {
    with(deny(json!({ "defaultAction": "SCMP_ACT_ERRNO" })), MKDIR)
        .run()
        .code(0)
        .complains("Operation not permitted");
}

#[test]
fn the_error_of_the_default_is_what_is_given() {
    let filter = deny(json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 28 }));
    with(filter, MKDIR).run().code(0).complains("No space left");
}

#[test]
fn the_default_may_kill() {
    let said = with(deny(json!({ "defaultAction": "SCMP_ACT_KILL_PROCESS" })), MKDIR).run().code(0);
    assert!(said.out.contains("code 159"), "{said}");
}

#[test]
fn a_filter_that_denies_by_default_works_for_a_user() {
    for no_new_privileges in [true, false] {
        let mut case = with(
            deny(json!({ "defaultAction": "SCMP_ACT_ERRNO" })),
            "id -u 2> /dev/null; grep -c Uid /proc/self/status",
        );
        case.set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
            .set("/process/noNewPrivileges", no_new_privileges);
        case.run().code(0);
    }
}

/// Codes of chmod for some modes under one condition on the mode, which denies.
#[track_caller]
fn chmods(condition: Value, modes: &[u32]) -> Vec<bool> {
    let filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures(),
        "syscalls": [{ "names": ["chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [condition] }]
    });
    let words: Vec<String> = modes.iter().map(|mode| format!("{mode:o}")).collect();
    let script =
        format!("for mode in {}; do chmod $mode /tmp/file && echo yes || echo no; done", words.join(" "));
    let case = with(filter, &script);
    std::fs::write(case.rootfs("tmp/file"), "").unwrap();
    let said = case.run().code(0);
    said.out.lines().map(|line| line == "yes").collect()
}

macro_rules! operators {
    ($($name:ident: $condition:tt => $below:literal, $equal:literal, $above:literal;)*) => {
        $(#[test]
        fn $name() {
            if !cfg!(target_arch = "x86_64") {
                skip!("chmod(2) is a call of its own on x86-64 only");
            }
            // Modes 0600, 0644 and 0666 against 0644 (420).
            assert_eq!(chmods(json!($condition), &[0o600, 0o644, 0o666]), [$below, $equal, $above]);
        })*
    };
}

operators! {
    an_argument_equal: { "index": 1, "value": 420, "op": "SCMP_CMP_EQ" } => true, false, true;
    an_argument_not_equal: { "index": 1, "value": 420, "op": "SCMP_CMP_NE" } => false, true, false;
    an_argument_less: { "index": 1, "value": 420, "op": "SCMP_CMP_LT" } => false, true, true;
    an_argument_less_or_equal: { "index": 1, "value": 420, "op": "SCMP_CMP_LE" } => false, false, true;
    an_argument_greater: { "index": 1, "value": 420, "op": "SCMP_CMP_GT" } => true, true, false;
    an_argument_greater_or_equal: { "index": 1, "value": 420, "op": "SCMP_CMP_GE" } => true, false, false;
    an_argument_under_a_mask: { "index": 1, "value": 4, "valueTwo": 4, "op": "SCMP_CMP_MASKED_EQ" } => true, false, false;
    an_argument_under_a_mask_of_zero_bits: { "index": 1, "value": 4, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" } => false, true, true;
}

/// What `kill SIGNAL PID` gives for four pairs under these conditions, which deny.
#[track_caller]
fn kills(rules: Value) -> String {
    let filter =
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures(), "syscalls": rules });
    let script = "for pid in 1 1000; do for signal in 0 18; do kill -$signal $pid 2>&1 | grep -c permitted; done; done";
    with(filter, script).run().out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn several_conditions_of_a_rule_must_all_hold() {
    let rules = json!([{
        "names": ["kill"], "action": "SCMP_ACT_ERRNO",
        "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }, { "index": 1, "value": 18, "op": "SCMP_CMP_EQ" }]
    }]);
    assert_eq!(kills(rules), "0 1 0 0");
}

#[test]
fn one_of_several_rules_is_enough() {
    let rule = |index: u32, value: u32| {
        json!({
            "names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": index, "value": value, "op": "SCMP_CMP_EQ" }]
        })
    };
    assert_eq!(kills(json!([rule(0, 1), rule(1, 18)])), "1 1 0 1");
}

#[test]
fn conditions_on_one_argument_are_alternatives() {
    let rules = json!([{
        "names": ["kill"], "action": "SCMP_ACT_ERRNO",
        "args": [{ "index": 1, "value": 0, "op": "SCMP_CMP_EQ" }, { "index": 1, "value": 18, "op": "SCMP_CMP_EQ" }]
    }]);
    assert_eq!(kills(rules), "1 1 1 1");
}

#[test]
fn unknown_names_of_calls_are_passed_over() {
    let mut filter = on_mkdir(json!({ "action": "SCMP_ACT_ERRNO" }));
    filter["syscalls"][0]["names"] = json!(["mkdir", "no_such_call", "mkdirat"]);
    with(filter, MKDIR).run().code(0).complains("Operation not permitted");
}

#[track_caller]
fn refused(filter: Value) {
    let case = with(filter, "true");
    case.create().failed();
    case.nothing_left();
}

#[test]
fn an_unknown_action_is_refused() {
    refused(on_mkdir(json!({ "action": "SCMP_ACT_NONE" })));
}

#[test]
fn an_unknown_operator_is_refused() {
    refused(on_mkdir(
        json!({ "action": "SCMP_ACT_ERRNO", "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_NONE" }] }),
    ));
}

#[test]
fn an_unknown_architecture_is_refused() {
    let mut filter = on_mkdir(json!({ "action": "SCMP_ACT_ERRNO" }));
    filter["architectures"] = json!(["SCMP_ARCH_NONE"]);
    refused(filter);
}

#[test]
fn an_argument_beyond_the_sixth_is_refused() {
    refused(on_mkdir(
        json!({ "action": "SCMP_ACT_ERRNO", "args": [{ "index": 6, "value": 1, "op": "SCMP_CMP_EQ" }] }),
    ));
}

#[test]
fn an_unknown_flag_is_refused() {
    let mut filter = on_mkdir(json!({ "action": "SCMP_ACT_ERRNO" }));
    filter["flags"] = json!(["SECCOMP_FILTER_FLAG_NONE"]);
    refused(filter);
}

#[test]
fn known_flags_are_taken() {
    for flags in [
        json!([]),
        json!(["SECCOMP_FILTER_FLAG_LOG"]),
        json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]),
        json!(["SECCOMP_FILTER_FLAG_TSYNC"]),
        json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]),
    ] {
        let mut filter = on_mkdir(json!({ "action": "SCMP_ACT_ERRNO" }));
        filter["flags"] = flags.clone();
        let said = with(filter, MKDIR).run();
        assert!(said.code == 0 && said.err.contains("not permitted"), "{flags}: {said}");
    }
}

#[test]
fn no_architectures_is_the_machines_own() {
    let mut filter = on_mkdir(json!({ "action": "SCMP_ACT_ERRNO" }));
    filter.as_object_mut().unwrap().remove("architectures");
    with(filter, MKDIR).run().code(0).complains("Operation not permitted");
}

#[test]
fn a_filter_may_be_empty() {
    let said = with(json!({ "defaultAction": "SCMP_ACT_ALLOW" }), MKDIR).run().code(0);
    assert!(said.out.contains("code 0"), "{said}");
}

#[test]
fn exec_runs_under_the_filter() {
    let mut case = Case::idle();
    case.set("/linux/seccomp", on_mkdir(json!({ "action": "SCMP_ACT_ERRNO", "errnoRet": 28 })));
    case.detached();
    case.exec_sh(MKDIR).code(0).complains("No space left");
}

#[test]
fn a_hook_inside_runs_under_the_filter() {
    let mut case = with(on_mkdir(json!({ "action": "SCMP_ACT_ERRNO" })), "true");
    case.set(
        "/hooks/startContainer",
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", "mkdir /made; true"] }]),
    );
    case.run();
    assert!(!case.rootfs("made").exists());
}

/// A filter on what a runtime itself does while it starts must not keep it from starting.
fn denying(names: &[&str]) {
    for no_new_privileges in [true, false] {
        let filter = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures(),
            "syscalls": [{ "names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }]
        });
        let mut case = with(filter, "echo started");
        case.set("/process/noNewPrivileges", no_new_privileges);
        let said = case.run();
        assert_eq!((said.code, said.out.as_str()), (0, "started\n"), "{no_new_privileges}: {said}");
    }
}

macro_rules! start_ups {
    ($($name:ident: $($call:literal)*;)*) => {
        $(#[test]
        fn $name() {
            denying(&[$($call),*]);
        })*
    };
}

start_ups! {
    the_start_survives_a_denied_getcwd: "getcwd";
    the_start_survives_a_denied_personality: "personality";
    the_start_survives_a_denied_close_range: "close_range";
    the_start_survives_a_denied_openat2: "openat2";
    the_start_survives_a_denied_mount_interface: "mount" "umount2" "open_tree" "move_mount" "mount_setattr" "fsopen" "fsconfig" "fsmount" "pivot_root" "chroot";
    the_start_survives_denied_namespaces: "setns" "unshare";
    the_start_survives_denied_names_of_the_machine: "sethostname" "setdomainname";
    the_start_survives_denied_keys: "keyctl" "add_key" "request_key";
    the_start_survives_denied_limits: "setrlimit";
    the_start_survives_denied_schedulers: "sched_setattr" "sched_setscheduler" "sched_setaffinity" "ioprio_set" "set_mempolicy";
    the_start_survives_denied_devices: "mknod" "mknodat" "symlink" "symlinkat" "fchownat" "chown" "lchown";
}

#[test]
fn a_capability_is_not_needed_to_load_a_filter() {
    let mut case = with(on_mkdir(json!({ "action": "SCMP_ACT_ERRNO" })), MKDIR);
    case.unset("/process/capabilities").set("/process/noNewPrivileges", false);
    case.run().code(0).complains("Operation not permitted");
}

#[test]
fn a_call_newer_than_the_profile_is_not_implemented() {
    if !cfg!(target_arch = "x86_64") {
        skip!("the numbers of calls are those of x86-64");
    }
    let mut names: Vec<Value> = needed().as_array().unwrap().clone();
    names.retain(|name| !["openat2", "faccessat2", "close_range"].iter().any(|newer| name == newer));
    let filter = json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{ "names": names, "action": "SCMP_ACT_ALLOW" }]
    });
    let mut case = Case::new();
    case.set("/linux/seccomp", filter).with_probe("openat2");
    let said = case.run();
    assert!(said.out.contains("openat2: Function not implemented"), "{said}");
}
