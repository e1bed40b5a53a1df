//! What is refused, and in which words.

use super::{Scene, needs_criu};
use crate::support::Case;

#[test]
fn a_parent_lies_beside_the_images() {
    needs_criu!();
    let scene = Scene::counting();
    scene.start_counting();
    let absolute = scene.case.path("before");
    scene.checkpoint(&["--parent-path", &absolute]).failed().complains("--parent-path");
    scene.checkpoint(&["--parent-path", "../before"]).failed().complains("--parent-path");
    std::fs::write(&absolute, "").unwrap();
    scene.checkpoint(&["--parent-path", "../before"]).failed().complains("--parent-path");
    assert_eq!(scene.case.status(), "running", "it goes on");
}

#[test]
fn options_without_a_meaning() {
    needs_criu!();
    let scene = Scene::counting();
    scene.start_counting();
    scene
        .checkpoint(&["--manage-cgroups-mode", "odd"])
        .failed()
        .complains("invalid manage-cgroups-mode value");
    scene.checkpoint(&["--empty-ns", "odd"]).failed().complains("is not supported");
    scene.checkpoint(&["--page-server", "odd"]).failed().complains("--page-server ADDRESS:PORT");
    scene.checkpoint(&["--page-server", "127.0.0.1:odd"]).failed().complains("Invalid port number");
    assert_eq!(scene.case.status(), "running", "it goes on");
}

#[test]
fn only_what_runs_is_saved() {
    needs_criu!();
    let scene = Scene::counting();
    assert_eq!(scene.quietly(scene.case.bundled("create", &[])), 0);
    scene.checkpoint(&[]).failed().complains("in created state");
    scene.case.start().code(0);
    scene.case.kill("KILL").code(0);
    scene.case.becomes("stopped");
    scene.checkpoint(&[]).failed().complains("in stopped state");
}

#[test]
fn a_container_that_is_not_there() {
    let case = Case::new();
    case.call(&["checkpoint", "nobody"]).failed().complains("does not exist");
}

#[test]
fn a_failed_checkpoint_leaves_it_running_and_says_where_the_log_is() {
    needs_criu!();
    let scene = Scene::counting();
    // A file of the host's is nothing that can be saved.
    let file = std::fs::File::create(scene.case.path("outside")).unwrap();
    let mut command = scene.case.bundled("run", &["--detach"]);
    command.stdout(file).stderr(std::process::Stdio::null());
    let mut child = scene.case.spawn(command);
    assert_eq!(scene.case.reap(&mut child), 0);
    let log = scene.case.path("work/dump.log");
    scene.checkpoint(&[]).failed().complains("criu failed: type DUMP errno").complains(&log);
    assert_eq!(scene.case.status(), "running");
    scene.goes_on(scene.count());
}

#[test]
fn a_restore_without_images_leaves_nothing() {
    needs_criu!();
    let scene = Scene::counting();
    let missing = scene.case.path("missing");
    let words = ["--detach", "--image-path", &missing];
    let command = crate::support::with_criu(scene.case.bundled("restore", &words));
    scene.case.end(command).failed();
    scene.case.nothing_left();
}

#[test]
fn a_name_in_use_is_refused() {
    needs_criu!();
    let scene = Scene::counting();
    scene.start_counting();
    scene.checkpoint(&["--leave-running"]).code(0);
    scene.restore(&[]).failed().complains("container with given ID already exists");
    assert_eq!(scene.case.status(), "running", "the first one goes on");
}

#[test]
fn a_damaged_checkpoint_leaves_nothing() {
    needs_criu!();
    let scene = Scene::counting();
    scene.start_counting();
    scene.checkpoint(&[]).code(0);
    std::fs::remove_file(scene.case.path("images/pages-1.img")).unwrap();
    let log = scene.case.path("work/restore.log");
    scene.restore(&[]).failed().complains("criu failed: type RESTORE errno").complains(&log);
    scene.case.nothing_left();
}
