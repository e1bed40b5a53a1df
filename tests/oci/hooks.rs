//! Hooks: when they run, where, with what, and what their failure does.

mod failures;

use crate::support::{Case, Value, json, within};

/// All kinds in the order of a container's life.
const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Kinds that run in the runtime's namespaces.
const OUTSIDE: [&str; 4] = ["prestart", "createRuntime", "poststart", "poststop"];

/// Appends a hook that runs a script of the host's shell, or the container's for `startContainer`.
fn hook(case: &mut Case, kind: &str, script: &str) {
    reading_hook(case, kind, &format!("cat > /dev/null; {script}"));
}

/// Appends a hook that takes its standard input, the state, by itself.
fn reading_hook(case: &mut Case, kind: &str, script: &str) {
    case.set(&format!("/hooks/{kind}/-"), json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] }));
}

/// Where a hook of this kind writes so that the test can read it: the path it uses.
fn place(case: &Case, kind: &str, name: &str) -> String {
    if kind == "startContainer" {
        format!("/tmp/{name}")
    } else {
        case.rootfs(&format!("tmp/{name}")).display().to_string()
    }
}

/// What it has written there.
#[track_caller]
fn written(case: &Case, name: &str) -> String {
    case.appears(&format!("tmp/{name}"))
}

#[test]
fn they_run_in_order() {
    let mut case = Case::sh("echo program >> /tmp/order");
    for kind in KINDS.into_iter().filter(|kind| *kind != "poststart") {
        for number in 1..=2 {
            let line = format!("echo {kind}{number} >> {}", place(&case, kind, "order"));
            hook(&mut case, kind, &line);
        }
    }
    case.create().code(0);
    let before = written(&case, "order");
    assert_eq!(
        before.split_whitespace().collect::<Vec<_>>(),
        [
            "prestart1",
            "prestart2",
            "createRuntime1",
            "createRuntime2",
            "createContainer1",
            "createContainer2"
        ]
    );
    case.start().code(0);
    case.becomes("stopped");
    case.delete().code(0);
    let all = written(&case, "order");
    let mut all: Vec<&str> = all.split_whitespace().collect();
    // The program and the hooks after its start run side by side.
    all.retain(|word| *word != "program");
    let expected: Vec<String> = KINDS
        .iter()
        .filter(|kind| **kind != "poststart")
        .flat_map(|kind| [format!("{kind}1"), format!("{kind}2")])
        .collect();
    assert_eq!(all, expected);
}

#[test]
fn hooks_before_the_start_end_before_the_program_runs() {
    let mut case = Case::sh("cat /tmp/early");
    for kind in ["createRuntime", "createContainer", "startContainer"] {
        let line = format!("sleep 0.05; echo {kind} >> {}", place(&case, kind, "early"));
        hook(&mut case, kind, &line);
    }
    assert_eq!(case.run().ok(), "createRuntime\ncreateContainer\nstartContainer");
}

/// The state that a hook of this kind is given.
#[track_caller]
fn state_of(kind: &str) -> (Case, Value) {
    let mut case = Case::idle();
    case.set("/annotations/org.example", "annotated");
    let line = format!("cat > {}", place(&case, kind, "state"));
    reading_hook(&mut case, kind, &line);
    case.create().code(0);
    case.start().code(0);
    case.delete_force().code(0);
    let text = within(10, "the state is written", || {
        Some(written(&case, "state")).filter(|text| text.contains('}'))
    });
    let state = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (case, state)
}

macro_rules! states {
    ($($name:ident: $kind:literal => $status:literal;)*) => {
        $(#[test]
        fn $name() {
            let (case, state) = state_of($kind);
            assert_eq!(state["status"], $status, "{state}");
            assert_eq!(state["id"], case.id());
            assert_eq!(state["bundle"], case.path("bundle"));
            assert!(state["ociVersion"].is_string(), "{state}");
            assert_eq!(state["annotations"]["org.example"], "annotated");
        })*
    };
}

states! {
    the_state_before_start_is_creating: "prestart" => "creating";
    the_state_at_create_runtime_is_creating: "createRuntime" => "creating";
    the_state_at_create_container_is_creating: "createContainer" => "creating";
    the_state_at_start_container_is_created: "startContainer" => "created";
    the_state_after_start_is_running: "poststart" => "running";
    the_state_after_stop_is_stopped: "poststop" => "stopped";
}

#[test]
fn the_state_has_the_pid_on_the_host() {
    let mut case = Case::idle();
    let line = format!("cat > {}", place(&case, "createRuntime", "state"));
    reading_hook(&mut case, "createRuntime", &line);
    case.create().code(0);
    let state: Value = serde_json::from_str(&written(&case, "state")).unwrap();
    assert_eq!(state["pid"], case.pid());
}

#[test]
fn those_of_the_runtime_run_in_its_namespaces() {
    for kind in OUTSIDE {
        let mut case = Case::idle();
        let line = format!(
            "readlink /proc/self/ns/mnt /proc/self/ns/pid /proc/self/ns/uts > {}",
            place(&case, kind, "ns")
        );
        hook(&mut case, kind, &line);
        case.create().code(0);
        case.start().code(0);
        case.delete_force().code(0);
        let own: Vec<String> = ["mnt", "pid", "uts"]
            .iter()
            .map(|name| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string())
            .collect();
        let seen = within(10, kind, || Some(written(&case, "ns")).filter(|text| text.lines().count() == 3));
        assert_eq!(seen.lines().collect::<Vec<_>>(), own, "{kind}");
    }
}

#[test]
fn those_of_the_container_run_in_its_namespaces_before_the_root_is_entered() {
    let mut case = Case::idle();
    case.without_namespace("cgroup");
    let line = format!(
        "readlink /proc/self/ns/mnt /proc/self/ns/uts /proc/self/ns/ipc > {}",
        place(&case, "createContainer", "ns")
    );
    hook(&mut case, "createContainer", &line);
    case.create().code(0);
    let pid = case.pid();
    let expected: Vec<String> = ["mnt", "uts", "ipc"]
        .iter()
        .map(|name| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap().display().to_string())
        .collect();
    assert_eq!(written(&case, "ns").lines().collect::<Vec<_>>(), expected);
}

#[test]
fn those_of_the_container_see_its_mounts() {
    let mut case = Case::idle();
    let rootfs = case.rootfs("").display().to_string();
    let line = format!(
        "cut -d' ' -f5 /proc/self/mountinfo | grep -c {}/proc > {}",
        rootfs.trim_end_matches('/'),
        place(&case, "createContainer", "mounts")
    );
    hook(&mut case, "createContainer", &line);
    case.create().code(0);
    assert_ne!(written(&case, "mounts").trim(), "0");
}

#[test]
fn those_at_the_start_run_inside_the_root() {
    let mut case = Case::idle();
    hook(
        &mut case,
        "startContainer",
        "hostname > /tmp/inside; pwd >> /tmp/inside; readlink /proc/self/ns/pid >> /tmp/inside",
    );
    case.create().code(0);
    assert!(!case.rootfs("tmp/inside").exists());
    case.start().code(0);
    let seen =
        within(10, "the hook", || Some(written(&case, "inside")).filter(|text| text.lines().count() == 3));
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[0], "case");
    assert_eq!(
        lines[2],
        std::fs::read_link(format!("/proc/{}/ns/pid", case.pid())).unwrap().to_str().unwrap()
    );
}

#[test]
fn words_are_passed_as_they_are() {
    for kind in ["createRuntime", "createContainer"] {
        let mut case = Case::new();
        let out = place(&case, kind, "words");
        case.set(&format!("/hooks/{kind}"), json!([{ "path": "/bin/sh", "args": ["zero", "-c", format!("printf '%s|' \"$0\" \"$@\" > {out}"), "first", "two words", "$HOME", ""] }]));
        case.create().code(0);
        assert_eq!(written(&case, "words"), "first|two words|$HOME||", "{kind}");
    }
}

#[test]
fn the_first_word_may_differ_from_the_path() {
    let mut case = Case::new();
    let out = place(&case, "createRuntime", "zero");
    case.set("/hooks/createRuntime", json!([{ "path": "/bin/sh", "args": ["another-name", "-c", format!("tr '\\0' '|' < /proc/$$/cmdline > {out}")] }]));
    case.create().code(0);
    assert!(written(&case, "zero").starts_with("another-name|-c|"));
}

#[test]
fn without_words_the_path_is_the_first() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut case = Case::new();
    let script = case.base().join("hook");
    std::fs::write(
        &script,
        format!("#!/bin/sh\necho \"$# $0\" > {}\n", place(&case, "createRuntime", "none")),
    )
    .unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    case.set("/hooks/createRuntime", json!([{ "path": script }]));
    case.create().code(0);
    assert_eq!(written(&case, "none"), format!("0 {}\n", script.display()));
}

#[test]
fn the_environment_is_its_own() {
    for kind in ["createRuntime", "createContainer", "poststart"] {
        let mut case = Case::idle();
        let out = place(&case, kind, "env");
        case.set(
            &format!("/hooks/{kind}"),
            json!([{ "path": "/usr/bin/env", "args": ["env"], "env": ["ONLY=this", "AND=that one"] }]),
        );
        case.set(&format!("/hooks/{kind}/0/path"), "/bin/sh");
        case.set(
            &format!("/hooks/{kind}/0/args"),
            ["sh", "-c", &format!("tr '\\0' '\\n' < /proc/self/environ > {out}")],
        );
        case.create().code(0);
        case.start().code(0);
        let seen = within(10, kind, || Some(written(&case, "env")).filter(|text| text.lines().count() >= 2));
        let mut lines: Vec<&str> = seen.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["AND=that one", "ONLY=this"], "{kind}");
    }
}

#[test]
fn without_an_environment_it_is_empty() {
    let mut case = Case::new();
    let out = place(&case, "createRuntime", "env");
    case.set("/hooks/createRuntime", json!([{ "path": "/bin/sh", "args": ["sh", "-c", format!("/usr/bin/wc -c < /proc/self/environ > {out}")] }]));
    let mut command = case.bundled("create", &[]);
    command.env("OF_THE_CALLER", "1");
    case.end(command).code(0);
    assert_eq!(written(&case, "env").trim(), "0");
}

#[test]
fn those_at_the_start_have_the_programs_environment_unless_they_bring_one() {
    let mut case = Case::new();
    case.set("/process/env/-", "OF=program");
    case.set(
        "/hooks/startContainer",
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", "echo [$OF] > /tmp/of"] }]),
    );
    case.run().code(0);
    assert_eq!(written(&case, "of"), "[program]\n");
}

#[test]
fn one_that_brings_an_environment_has_no_other() {
    let mut case = Case::new();
    case.set("/process/env/-", "OF=program");
    case.set(
        "/hooks/startContainer",
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", "echo [$OF] > /tmp/of"], "env": ["OTHER=1"] }]),
    );
    case.run().code(0);
    assert_eq!(written(&case, "of"), "[]\n");
}

#[test]
fn those_after_the_stop_run_at_delete() {
    let mut case = Case::new();
    let line = format!("touch {}", place(&case, "poststop", "deleted"));
    hook(&mut case, "poststop", &line);
    case.detached();
    case.becomes("stopped");
    assert!(!case.rootfs("tmp/deleted").exists());
    case.delete().code(0);
    assert!(case.rootfs("tmp/deleted").exists());
}

#[test]
fn those_after_the_stop_run_at_a_forced_delete_and_after_run() {
    let mut case = Case::idle();
    let line = format!("echo x >> {}", place(&case, "poststop", "deleted"));
    hook(&mut case, "poststop", &line);
    case.detached();
    case.delete_force().code(0);
    case.set("/process/args", ["true"]);
    case.run().code(0);
    assert_eq!(written(&case, "deleted"), "x\nx\n");
}

#[test]
fn a_hook_may_configure_the_network_of_the_container() {
    let mut case = Case::sh("cat /sys/class/net/lo/flags");
    // The pid is in the state: what engines without a daemon do.
    reading_hook(
        &mut case,
        "createRuntime",
        "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/' | head -1); nsenter --net=/proc/$pid/ns/net ip link set lo up",
    );
    let flags = case.run().ok();
    assert_eq!(i64::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap() & 1, 1, "{flags}");
}

#[test]
fn a_hook_may_leave_a_process_behind() {
    let mut case = Case::new();
    hook(&mut case, "createRuntime", "sleep 0.5 < /dev/null > /dev/null 2>&1 &");
    case.run().code(0);
}

#[test]
fn a_hook_that_does_not_read_the_state_is_fine() {
    let mut case = Case::new();
    case.set("/annotations/long", "x".repeat(200_000));
    case.set("/hooks/createRuntime", json!([{ "path": "/bin/true" }]));
    case.run().code(0);
}

#[test]
fn the_working_directory_of_a_hook_is_the_bundle() {
    let mut case = Case::new();
    let line = format!("pwd > {}", place(&case, "createRuntime", "cwd"));
    hook(&mut case, "createRuntime", &line);
    case.create().code(0);
    assert_eq!(written(&case, "cwd").trim(), case.path("bundle"));
}

#[test]
fn those_after_the_start_run_at_start() {
    let mut case = Case::idle();
    let line = format!("touch {}", place(&case, "poststart", "poststart"));
    hook(&mut case, "poststart", &line);
    case.create().code(0);
    assert!(!case.rootfs("tmp/poststart").exists());
    case.start().code(0);
    assert!(case.rootfs("tmp/poststart").exists());
}
