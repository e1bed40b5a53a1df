//! What changes while the runtime looks.

use crate::support::{Case, within};
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

/// Swaps a folder and a link to the outside until told to stop.
fn swapping(folder: &std::path::Path, target: &std::path::Path, stop: &AtomicBool) {
    let (kept, link) = (folder.with_extension("kept"), folder.with_extension("link"));
    while !stop.load(Ordering::Relaxed) {
        let _ = std::fs::rename(folder, &kept);
        let _ = symlink(target, &link);
        let _ = std::fs::rename(&link, folder);
        let _ = std::fs::remove_file(folder);
        let _ = std::fs::rename(&kept, folder);
    }
}

#[test]
fn a_mount_target_that_becomes_a_link_meanwhile_stays_inside() {
    // CVE-2021-30465: the target is checked, then replaced by a link, then mounted on.
    let mut case = Case::new();
    let outside = case.base().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::create_dir(case.rootfs("target")).unwrap();
    case.mount("/target/deep/deeper", "tmpfs", "tmpfs", &[]).mount("/target/second", "tmpfs", "tmpfs", &[]);
    case.write();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| swapping(&case.rootfs("target"), &outside, &stop));
        for number in 0..10 {
            let id = format!("{}-{number}", case.id());
            let _ = case.call(&["run", "--bundle", &case.path("bundle"), &id]);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(outside.to_str().unwrap()));
}

#[test]
fn a_masked_path_that_becomes_a_link_meanwhile_stays_inside() {
    let mut case = Case::sh("true");
    let outside = case.base().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::create_dir(case.rootfs("target")).unwrap();
    case.set("/linux/maskedPaths/-", "/target").write();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| swapping(&case.rootfs("target"), &outside, &stop));
        for number in 0..10 {
            let _ = case.call(&["run", "--bundle", &case.path("bundle"), &format!("{}-{number}", case.id())]);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(!std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(outside.to_str().unwrap()));
}

#[test]
fn an_exec_in_a_container_that_is_being_killed_ends() {
    for _ in 0..5 {
        let case = Case::idle();
        case.detached();
        let mut children: Vec<_> = (0..4)
            .map(|_| {
                let mut command = case.command(&["exec", case.id(), "sleep", "1000"]);
                command.stdout(Stdio::null()).stderr(Stdio::null());
                case.spawn(command)
            })
            .collect();
        case.kill("KILL").code(0);
        for child in &mut children {
            assert_ne!(case.reap(child), 0);
        }
        case.becomes("stopped");
        case.delete_force().code(0);
        case.nothing_left();
    }
}

#[test]
fn a_delete_by_force_while_it_starts_leaves_nothing() {
    for _ in 0..5 {
        let case = Case::idle();
        case.create().code(0);
        let mut command = case.command(&["start", case.id()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut start = case.spawn(command);
        case.delete_force().code(0);
        case.reap(&mut start);
        within(10, "it is gone", || (case.status() == "none").then_some(()));
        case.nothing_left();
    }
}

#[test]
fn a_create_that_is_killed_can_be_cleared() {
    use std::time::Duration;
    for step in 0..12 {
        let case = Case::idle();
        let mut command = case.bundled("create", &[]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = case.spawn(command);
        std::thread::sleep(Duration::from_millis(step * 3));
        let _ = child.kill();
        let _ = child.wait();
        let said = case.delete_force();
        assert_eq!(said.code, 0, "after {} ms: {said}", step * 3);
        case.nothing_left();
        // The id is free, and works.
        case.detached();
    }
}

#[test]
fn a_fork_bomb_in_the_host_pid_namespace_is_killed_to_the_last() {
    let mut case = Case::sh(
        "bomb() { while :; do sh -c 'sleep 0.2' & sleep 0.01; done; }; bomb & bomb & echo up > /up; wait",
    );
    case.without_namespace("pid").set("/linux/resources/pids", serde_json::json!({ "limit": 60 }));
    case.detached();
    case.appears("up");
    case.delete_force().code(0);
    case.nothing_left();
}
