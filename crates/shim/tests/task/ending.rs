//! Exit codes, stopping, tidying, and sudden deaths.

use crate::support::{Frames, Setup, eventually, is_alive};
use sampan_types::{
    ErrorKind,
    spec::{MemoryLimits, Resources},
    task::{Reply, Request, TaskStatus},
};
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

#[test]
fn codes_follow_the_shell() {
    for (script, code) in [("exit 0", 0), ("exit 255", 255), ("kill -9 $$; exit 5", 5)] {
        let mut shim = Setup::shell(script).create();
        shim.start();
        assert_eq!(shim.client.exit(None).code, code, "{script}");
    }
    let mut shim = Setup::command(&["/bin/sleep", "60"]).create();
    shim.start();
    shim.client.ask(&Request::Signal { signal: 9, exec: None });
    assert_eq!(shim.client.exit(None).code, 137);
}

#[test]
fn a_container_that_takes_too_much_memory_is_said_to_have() {
    let mut setup = Setup::command(&["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"]);
    let memory = MemoryLimits { limit: Some(16 << 20), ..MemoryLimits::default() };
    setup.spec.linux.as_mut().unwrap().resources =
        Some(Resources { memory: Some(memory), ..Resources::default() });
    let mut shim = setup.create();
    shim.start();
    let exit = shim.client.exit(None);
    assert_eq!((exit.code, exit.oom_killed), (137, true));
}

#[test]
fn stop_is_polite_first() {
    let mut shim =
        Setup::shell("trap 'echo bye; exit 9' TERM; echo ready; while :; do usleep 1000; done").create();
    let mut stream = shim.start_attached(false);
    Frames::default().read_one(&mut stream);
    let reply = shim.client.ask(&Request::Stop { signal: 15, timeout_ms: Some(10_000) });
    assert!(matches!(reply, Reply::Done), "{reply:?}");
    assert_eq!(shim.client.exit(None).code, 9);
    assert_eq!(Frames::read(&mut stream).stdout, b"bye\n");
}

#[test]
fn stop_kills_when_patience_ends() {
    // Without a handler an init is immune to SIGTERM.
    let mut shim = Setup::command(&["/bin/sleep", "60"]).create();
    shim.start();
    let start = Instant::now();
    shim.client.ask(&Request::Stop { signal: 15, timeout_ms: Some(300) });
    assert_eq!(shim.client.exit(None).code, 137);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn stop_without_patience_kills_at_once() {
    let mut shim = Setup::command(&["/bin/sleep", "60"]).create();
    shim.start();
    shim.client.ask(&Request::Stop { signal: 15, timeout_ms: Some(0) });
    assert_eq!(shim.client.exit(None).code, 137);
}

#[test]
fn a_missing_command_is_127_and_the_engine_tidies() {
    let mut setup = Setup::command(&["/bin/nothing"]);
    let marker = setup.on_exit_marker();
    let mut shim = setup.spawn();
    let (Reply::Failed(failure), _) = shim.client.reply() else { panic!("created") };
    assert_eq!((failure.kind, failure.kind.exit_code()), (ErrorKind::CommandNotFound, 127), "{failure:?}");
    assert!(failure.what.contains("/bin/nothing"), "{failure:?}");
    assert!(shim.entry().is_some());
    shim.client.send(&Request::Wait { cleans: true }, &[]);
    assert!(matches!(shim.client.ask(&Request::Stop { signal: 9, timeout_ms: Some(0) }), Reply::Done));
    let exit = shim.client.exit(None);
    assert_eq!((exit.code, exit.started_at), (127, None));
    assert_eq!(shim.client.refused(&Request::State).what, failure.what);
    shim.client.send(&Request::Cleaned, &[]);
    assert_eq!(shim.ended(), 1);
    assert!(shim.entry().is_none() && !marker.exists());
}

#[test]
fn a_bundle_without_specification_is_told_and_tidied_where_the_engine_goes() {
    let mut setup = Setup::command(&["/bin/true"]);
    setup.damaged = true;
    let marker = setup.on_exit_marker();
    let mut shim = setup.spawn();
    let (Reply::Failed(failure), _) = shim.client.reply() else { panic!("created") };
    assert_eq!(failure.what, format!("cannot read {}/config.json", shim.bundle.display()));
    assert_eq!(failure.kind, ErrorKind::NotFound);
    shim.client.close();
    shim.ended();
    assert!(marker.exists() && shim.entry().is_some());
}

#[test]
fn without_a_control_socket_it_says_why() {
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_sampan-shim")).args(["task", "/x"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("sampan-shim: cannot use descriptor 3 as control socket: "), "{text}");
    assert_eq!(output.status.code(), Some(125));
}

#[test]
fn what_its_starter_left_open_is_closed() {
    let file = tempfile::tempfile().unwrap();
    // Unlike descriptors that Rust opens, a duplicate is inherited.
    let inherited = rustix::io::dup(&file).unwrap();
    let shim = Setup::command(&["/bin/true"]).create();
    drop(inherited);
    for pid in [shim.pid, shim.state().init.pid] {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
            let target = fs::read_link(entry.unwrap().path()).unwrap();
            assert!(!target.to_string_lossy().ends_with("(deleted)"), "{}", target.display());
        }
    }
}

#[test]
fn on_exit_runs_where_nobody_promised_to_tidy() {
    let mut setup = Setup::command(&["/bin/true"]);
    let marker = setup.on_exit_marker();
    let mut shim = setup.create();
    shim.start();
    assert_eq!(shim.client.exit(None).code, 0);
    assert_eq!(shim.ended(), 0);
    assert!(marker.exists());
    assert!(shim.entry().is_some(), "on_exit removes it as its last act");
}

#[test]
fn on_exit_does_not_run_where_the_client_has_tidied() {
    let mut setup = Setup::command(&["/bin/true"]);
    let marker = setup.on_exit_marker();
    let mut shim = setup.create();
    shim.client.send(&Request::Wait { cleans: true }, &[]);
    shim.start();
    assert_eq!(shim.client.exit(None).code, 0);
    assert!(shim.entry().is_some());
    let Reply::State(state) = shim.connect().ask(&Request::State) else { panic!("no state") };
    assert_eq!(state.status, TaskStatus::Stopped);
    shim.client.send(&Request::Cleaned, &[]);
    assert_eq!(shim.ended(), 0);
    assert!(!marker.exists() && shim.entry().is_none());
}

#[test]
fn on_exit_runs_where_the_client_broke_its_promise() {
    let mut setup = Setup::command(&["/bin/true"]);
    let marker = setup.on_exit_marker();
    let mut shim = setup.create();
    let mut other = shim.connect();
    other.send(&Request::Wait { cleans: true }, &[]);
    assert!(matches!(other.ask(&Request::State), Reply::State(_)));
    shim.start();
    assert_eq!(shim.client.exit(None).code, 0);
    assert!(!marker.exists());
    drop(other);
    shim.ended();
    assert!(marker.exists());
}

#[test]
fn an_engine_that_goes_before_the_start_leaves_nothing() {
    let mut setup = Setup::command(&["/bin/sleep", "60"]);
    let marker = setup.on_exit_marker();
    let mut shim = setup.create();
    let init = shim.state().init;
    shim.client.close();
    shim.ended();
    assert!(!is_alive(init) && marker.exists());
}

#[test]
fn an_engine_that_goes_after_the_start_is_not_missed() {
    let mut setup = Setup::shell("usleep 200000; exit 6");
    let marker = setup.on_exit_marker();
    let mut shim = setup.create();
    shim.start();
    shim.client.close();
    shim.ended();
    assert_eq!(shim.state().exit.unwrap().code, 6);
    assert!(marker.exists());
}

#[test]
fn verbs_in_the_wrong_order_are_refused() {
    let mut shim = Setup::command(&["/bin/sleep", "60"]).create();
    let failure = shim.client.refused(&Request::Cleaned);
    assert_eq!(
        (failure.kind, &failure.causes[..]),
        (ErrorKind::Conflict, &["it has not ended".to_owned()][..])
    );
    shim.client.send(&Request::Wait { cleans: true }, &[]);
    shim.start();
    let failure = shim.client.refused(&Request::Start);
    assert_eq!(failure.causes, ["it is running"]);
    let failure = shim.client.refused(&Request::Signal { signal: 4711, exec: None });
    assert_eq!(
        (failure.kind, &failure.causes[..]),
        (ErrorKind::InvalidInput, &["signals are numbered 1 to 64".to_owned()][..])
    );
    shim.client.ask(&Request::Stop { signal: 15, timeout_ms: Some(0) });
    shim.client.exit(None);
    for request in
        [Request::Start, Request::Attach { stdin: false }, Request::Signal { signal: 9, exec: None }]
    {
        let failure = shim.client.refused(&request);
        assert_eq!(
            (failure.kind, &failure.causes[..]),
            (ErrorKind::Conflict, &["it has ended".to_owned()][..])
        );
    }
    assert!(matches!(shim.client.ask(&Request::Stop { signal: 15, timeout_ms: None }), Reply::Done));
    shim.client.send(&Request::Wait { cleans: false }, &[]);
    assert_eq!(shim.client.exit(None).code, 137);
    shim.client.send(&Request::Cleaned, &[]);
    shim.ended();
    assert!(shim.client.is_over());
}

#[test]
fn the_container_dies_with_its_shim_and_a_sweep_finds_it() {
    let mut shim = Setup::shell("sleep 60 & sleep 60").create();
    shim.start();
    let state = shim.state();
    assert_eq!((state.status, state.shim.pid), (TaskStatus::Running, shim.pid));
    shim.kill();
    shim.ended();
    eventually("init is dead", || !is_alive(state.init));
    let entry = shim.entry().expect("an entry");
    let expected = format!("{}-{}-{}", state.shim.pid, state.shim.start, state.id);
    assert_eq!(entry.file_name().unwrap().to_str(), Some(expected.as_str()));
}

#[test]
fn killed_at_any_step_it_leaves_an_entry_and_no_process() {
    for name in [
        "shim.announced",
        "shim.created",
        "shim.before_start",
        "shim.after_start",
        "shim.before_state",
        "shim.exited",
    ] {
        let mut setup = Setup::command(&["/bin/usleep", "100000"]);
        setup.failpoint = Some(name);
        let mut shim = setup.spawn();
        // At the first points it is dead before this.
        let _ = shim.client.try_send(&Request::Start, &[]);
        assert_eq!(shim.ended(), -1, "{name}");
        assert!(shim.entry().is_some(), "{name}");
        if let Ok(text) = fs::read(shim.bundle.join("state.json")) {
            let state: sampan_types::task::TaskState = serde_json::from_slice(&text).unwrap();
            eventually(name, || !is_alive(state.init));
        }
        eventually(name, || cgroup_processes(&shim.cgroups()) == 0);
    }
}

#[test]
fn the_control_group_is_removed() {
    let mut shim = Setup::command(&["/bin/true"]).create();
    assert!(!shim.cgroups().is_empty());
    shim.start();
    shim.client.exit(None);
    assert!(shim.cgroups().is_empty());
    shim.ended();
}

fn cgroup_processes(groups: &[PathBuf]) -> usize {
    let lists = groups.iter().filter_map(|path| fs::read_to_string(path.join("cgroup.procs")).ok());
    lists.map(|text| text.lines().count()).sum()
}
