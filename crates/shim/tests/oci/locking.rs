//! Commands on one container at the same time, and commands that are killed on the way.

use crate::support::{Bundle, until};
use serde_json::json;
use std::time::Duration;

#[test]
fn of_many_creates_one_succeeds() {
    let bundle = Bundle::shell("sleep 1000");
    drop(bundle.command(&["list"]));
    let mut children: Vec<_> = (0..8).map(|_| bundle.command(&["create", "$ID"]).spawn().unwrap()).collect();
    let codes: Vec<_> = children.iter_mut().map(|child| child.wait().unwrap().code().unwrap()).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert_eq!(bundle.status(), "created");
}

#[test]
fn of_many_starts_one_succeeds() {
    let bundle = Bundle::shell("echo x >> /tmp/count; sleep 1000");
    bundle.succeeds(&["create", "$ID"]);
    let mut children: Vec<_> = (0..8).map(|_| bundle.command(&["start", "$ID"]).spawn().unwrap()).collect();
    let codes: Vec<_> = children.iter_mut().map(|child| child.wait().unwrap().code().unwrap()).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    until("the program runs", || bundle.inside("tmp/count").exists());
    assert_eq!(std::fs::read_to_string(bundle.inside("tmp/count")).unwrap(), "x\n");
}

#[test]
fn a_create_killed_at_any_moment_leaves_what_delete_tidies() {
    for microseconds in (0..40_000).step_by(2_500) {
        let bundle = Bundle::shell("sleep 1000");
        let mut child = bundle.command(&["create", "$ID"]).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(microseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        // `Bundle`'s end deletes with force, and looks at what is left.
        bundle.succeeds(&["delete", "--force", "$ID"]);
        assert_eq!(bundle.status(), "");
        bundle.succeeds(&["create", "$ID"]);
    }
}

#[test]
fn a_run_killed_at_any_moment_leaves_what_delete_tidies() {
    for microseconds in (0..60_000).step_by(5_000) {
        let bundle = Bundle::shell("sleep 1000");
        let mut child = bundle.command(&["run", "$ID"]).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(microseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        bundle.succeeds(&["delete", "--force", "$ID"]);
        assert_eq!(bundle.groups(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn a_hook_may_look_at_its_container() {
    let mut bundle = Bundle::shell("sleep 1000");
    let state = bundle.base.path().join("state");
    let seen = bundle.base.path().join("seen");
    let runtime = env!("CARGO_BIN_EXE_sampan-shim");
    let call = |verb: &str| {
        let line = format!(
            "{runtime} oci --root {} {verb} {} >> {} 2>&1; true",
            state.display(),
            bundle.id,
            seen.display()
        );
        json!({ "path": "/bin/sh", "args": ["sh", "-c", line], "timeout": 20 })
    };
    let hooks = json!({ "createRuntime": [call("state")], "poststart": [call("state"), call("exec")] });
    bundle.config["hooks"] = hooks;
    bundle.succeeds(&["run", "-d", "$ID"]);
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.starts_with("time=") && seen.contains("container does not exist"), "not yet: {seen}");
    assert!(seen.contains("\"status\": \"running\"") && seen.contains("exec args cannot be empty"), "{seen}");
}
