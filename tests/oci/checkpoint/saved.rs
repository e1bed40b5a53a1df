//! The ways to save and to restore.

use super::{Scene, needs_criu};
use crate::support::within;
use std::path::Path;

#[test]
fn memory_survives_and_what_was_left_is_removed() {
    needs_criu!();
    let scene = Scene::counting();
    scene.start_counting();
    scene.checkpoint(&[]).code(0);
    assert_eq!(scene.case.status(), "none", "state fails");
    scene.case.nothing_left();
    let count = scene.count();
    assert!(Path::new(&scene.case.path("images/inventory.img")).exists());
    assert!(Path::new(&scene.case.path("work/dump.log")).exists());
    std::fs::remove_file(scene.case.rootfs("tmp/n")).unwrap();
    scene.restore(&[]).code(0);
    assert_eq!(scene.case.status(), "running");
    scene.goes_on(count);
    assert!(Path::new(&scene.case.path("work/restore.log")).exists());
}

#[test]
fn it_can_be_left_running() {
    needs_criu!();
    let scene = Scene::counting();
    scene.start_counting();
    scene.checkpoint(&["--leave-running"]).code(0);
    assert_eq!(scene.case.status(), "running");
    scene.goes_on(scene.count());
    scene.case.delete_force().code(0);
    scene.case.nothing_left();
    scene.restore(&[]).code(0);
    assert_eq!(scene.case.status(), "running");
}

#[test]
fn again_and_again() {
    needs_criu!();
    let scene = Scene::counting();
    scene.start_counting();
    for _ in 0..3 {
        scene.there_and_back();
        scene.goes_on(scene.count());
    }
    scene.case.kill("KILL").code(0);
    scene.case.becomes("stopped");
    scene.case.delete().code(0);
    scene.case.nothing_left();
}

#[test]
fn the_pid_file_names_the_restored_process() {
    needs_criu!();
    let scene = Scene::counting();
    scene.start_counting();
    scene.checkpoint(&[]).code(0);
    let file = scene.case.path("pid");
    scene.restore(&["--pid-file", &file]).code(0);
    let pid = std::fs::read_to_string(&file).unwrap();
    assert_eq!(pid, scene.case.pid().to_string());
}

#[test]
fn who_restores_can_stay_and_gets_the_exit_code() {
    needs_criu!();
    let scene = Scene::sh("while [ ! -e /tmp/go ]; do sleep 0.02; done; exit 7");
    scene.start();
    scene.checkpoint(&[]).code(0);
    let mut command = scene.restoring(&[]);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = scene.case.spawn(command);
    scene.case.becomes("running");
    std::fs::write(scene.case.rootfs("tmp/go"), "").unwrap();
    assert_eq!(scene.case.reap(&mut child), 7);
    scene.case.nothing_left();
}

#[test]
fn a_paused_container_can_be_saved() {
    needs_criu!();
    let scene = Scene::counting();
    scene.start_counting();
    scene.case.call(&["pause", scene.case.id()]).code(0);
    scene.checkpoint(&[]).code(0);
    scene.restore(&[]).code(0);
    assert_eq!(scene.case.status(), "running");
    scene.goes_on(scene.count());
}

#[test]
fn another_control_group_can_be_given_at_the_restore() {
    needs_criu!();
    let mut scene = Scene::counting();
    scene.start_counting();
    scene.checkpoint(&[]).code(0);
    let other = format!("{}-other", scene.case.cgroup());
    scene.case.set("/linux/cgroupsPath", other.as_str());
    scene.restore(&[]).code(0);
    let groups = scene.case.proc("cgroup");
    assert!(groups.lines().all(|line| line.ends_with(&other)), "{groups}");
    scene.goes_on(scene.count());
    scene.case.delete_force().code(0);
    let left = crate::support::hierarchies().iter().any(|(_, top)| top.join(&other[1..]).exists());
    assert!(!left, "{other} is left behind");
}

#[test]
fn control_groups_can_be_left_to_the_runtime() {
    needs_criu!();
    let scene = Scene::counting();
    scene.start_counting();
    scene.checkpoint(&["--manage-cgroups-mode", "ignore"]).code(0);
    scene.restore(&["--manage-cgroups-mode", "ignore"]).code(0);
    let groups = scene.case.proc("cgroup");
    assert!(groups.lines().all(|line| line.ends_with(&scene.case.cgroup())), "{groups}");
    scene.case.call(&["pause", scene.case.id()]).code(0);
    assert_eq!(scene.case.status(), "paused");
}

#[test]
fn processes_of_an_exec_survive() {
    needs_criu!();
    let scene = Scene::counting();
    scene.start_counting();
    let script = "(while :; do date +%s%N > /tmp/beat; sleep 0.02; done) </dev/null >/dev/null 2>&1 &";
    scene.case.exec_sh(script).code(0);
    let beat = scene.case.rootfs("tmp/beat");
    within(10, "the other process runs", || beat.exists().then_some(()));
    scene.there_and_back();
    std::fs::remove_file(&beat).unwrap();
    within(10, "the other process goes on", || beat.exists().then_some(()));
}

#[test]
fn hooks_are_run_at_the_restore_when_there_are_namespaces() {
    needs_criu!();
    let mut scene = Scene::counting();
    scene.start_counting();
    scene.checkpoint(&[]).code(0);
    let said = scene.case.path("said");
    let hook = |name: &str| {
        let script = format!("read state; echo {name} >> {said}; echo \"$state\" | grep -q '\"pid\":'");
        crate::support::json!([{ "path": "/bin/sh", "args": ["sh", "-c", script] }])
    };
    for name in ["prestart", "createRuntime", "createContainer", "startContainer"] {
        scene.case.set(&format!("/hooks/{name}"), hook(name));
    }
    scene.restore(&[]).code(0);
    assert_eq!(std::fs::read_to_string(&said).unwrap(), "prestart\ncreateRuntime\n");
}
