//! What the failure of a hook does.

use super::{hook, place};
use crate::support::{Case, Said, json, within};

/// `create`, and `start` after it when that went well.
#[track_caller]
fn created_or_started(case: &Case) -> Said {
    let said = case.create();
    if said.code == 0 { case.start() } else { said }
}

/// A failing hook of this kind: `create` or `start` fails, and nothing is left when create did.
#[track_caller]
fn failing(kind: &str) -> Said {
    let mut case = Case::idle();
    hook(&mut case, kind, "echo what went wrong >&2; exit 7");
    if kind == "poststart" {
        return created_or_started(&case).failed();
    }
    let said = case.create().failed();
    case.nothing_left();
    said
}

#[test]
fn a_failure_before_start_undoes_create() {
    failing("prestart");
}

#[test]
fn a_failure_at_create_runtime_undoes_create() {
    failing("createRuntime");
}

#[test]
fn a_failure_at_create_container_undoes_create() {
    failing("createContainer");
}

#[test]
fn a_failure_at_start_container_fails_start() {
    let mut case = Case::sh("touch /ran");
    hook(&mut case, "startContainer", "exit 7");
    case.create().code(0);
    case.start();
    case.becomes("stopped");
    assert!(!case.rootfs("ran").exists());
}

#[test]
fn a_failure_after_start_is_a_failure() {
    failing("poststart");
}

#[test]
fn a_failure_after_start_ends_the_container() {
    let mut case = Case::idle();
    hook(&mut case, "poststart", "exit 7");
    created_or_started(&case).failed();
    within(10, "it ends", || matches!(case.status().as_str(), "stopped" | "none").then_some(()));
}

#[test]
fn a_failure_after_start_fails_run() {
    let mut case = Case::idle();
    hook(&mut case, "poststart", "exit 7");
    case.run().failed();
    within(10, "it is gone", || matches!(case.status().as_str(), "stopped" | "none").then_some(()));
}

#[test]
fn a_failure_after_stop_does_not_keep_delete_from_its_work() {
    let mut case = Case::new();
    hook(&mut case, "poststop", "exit 7");
    case.detached();
    case.becomes("stopped");
    case.delete();
    case.nothing_left();
}

#[test]
fn the_words_of_a_failure_name_the_hook() {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let mut case = Case::idle();
        hook(&mut case, kind, "true");
        hook(&mut case, kind, "echo what went wrong >&2; exit 7");
        let said = case.create().failed();
        assert!(said.err.contains(&format!("error running {kind} hook #1")), "{said}");
        assert!(said.err.contains("exit status 7"), "{said}");
        case.nothing_left();
    }
}

#[test]
fn the_words_of_a_failure_have_what_the_hook_said() {
    let said = failing("createRuntime");
    assert!(said.err.contains("what went wrong"), "{said}");
}

#[test]
fn a_failure_keeps_the_next_ones_from_running() {
    let mut case = Case::idle();
    hook(&mut case, "createRuntime", "exit 1");
    let line = format!("touch {}", place(&case, "createRuntime", "next"));
    hook(&mut case, "createRuntime", &line);
    case.create().failed();
    assert!(!case.rootfs("tmp/next").exists());
}

#[test]
fn a_hook_that_is_not_there_is_a_failure() {
    for kind in ["createRuntime", "createContainer"] {
        let mut case = Case::idle();
        case.set(&format!("/hooks/{kind}"), json!([{ "path": "/no/such/hook" }]));
        let said = case.create().failed();
        assert!(said.err.contains("/no/such/hook"), "{said}");
        case.nothing_left();
    }
}

#[test]
fn a_relative_path_is_refused() {
    let mut case = Case::idle();
    case.set("/hooks/createRuntime", json!([{ "path": "bin/true" }]));
    case.create().failed();
    case.nothing_left();
}

#[test]
fn a_time_out_ends_the_hook_and_fails() {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let mut case = Case::idle();
        case.set(
            &format!("/hooks/{kind}"),
            json!([{ "path": "/bin/sleep", "args": ["sleep", "20"], "timeout": 1 }]),
        );
        let before = std::time::Instant::now();
        case.create().failed();
        assert!(before.elapsed().as_secs() < 15, "{kind}");
        case.nothing_left();
    }
}

#[test]
fn a_time_out_that_is_not_needed_does_nothing() {
    let mut case = Case::idle();
    case.set("/hooks/createRuntime", json!([{ "path": "/bin/true", "timeout": 10 }]));
    case.create().code(0);
}

#[test]
fn a_time_out_of_zero_or_less_is_refused() {
    for timeout in [0, -5] {
        let mut case = Case::idle();
        case.set("/hooks/createRuntime", json!([{ "path": "/bin/true", "timeout": timeout }]));
        case.create().failed();
        case.nothing_left();
    }
}

#[test]
fn those_after_the_stop_run_when_create_fails_after_its_hooks() {
    let mut case = Case::new();
    let line = format!("touch {}", place(&case, "poststop", "deleted"));
    hook(&mut case, "poststop", &line);
    hook(&mut case, "createContainer", "exit 1");
    case.create().failed();
    assert!(case.rootfs("tmp/deleted").exists());
}
