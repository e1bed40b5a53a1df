//! What is not the container's own: mounts from outside, streams, terminals, namespaces.

use super::{Scene, needs_criu};
use crate::support::{ConsoleSocket, within};
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

#[test]
fn a_bound_directory_is_the_hosts_afterwards_too() {
    needs_criu!();
    let mut scene = Scene::sh("while :; do cat /mnt/word > /tmp/n; sleep 0.02; done");
    let source = scene.case.path("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(format!("{source}/word"), "1").unwrap();
    scene.case.mount("/mnt", "bind", &source, &["bind", "ro", "nosuid"]);
    scene.start();
    scene.there_and_back();
    std::fs::write(format!("{source}/word"), "2").unwrap();
    within(10, "what the host writes is read", || (scene.count() == 2).then_some(()));
    scene.case.exec_sh("touch /mnt/x").failed();
    let said = scene.case.exec_sh("grep ' /mnt ' /proc/self/mountinfo").ok();
    assert!(said.contains("ro,nosuid"), "{said}");
}

#[test]
fn mount_points_that_are_missing_are_made_again() {
    needs_criu!();
    let mut scene = Scene::counting();
    let source = scene.case.path("source");
    std::fs::create_dir_all(format!("{source}/inner")).unwrap();
    std::fs::write(format!("{source}/file"), "text").unwrap();
    scene.case.mount("/mnt/a/b", "bind", &source, &["bind"]);
    scene.case.mount("/mnt/a/b/c/d", "bind", &source, &["bind"]);
    scene.case.mount("/mnt/file", "bind", &format!("{source}/file"), &["bind"]);
    scene.start_counting();
    scene.checkpoint(&[]).code(0);
    std::fs::remove_dir(scene.case.rootfs("mnt/a/b")).unwrap();
    std::fs::remove_dir(scene.case.rootfs("mnt/a")).unwrap();
    std::fs::remove_file(scene.case.rootfs("mnt/file")).unwrap();
    std::fs::remove_dir_all(format!("{source}/c")).unwrap();
    scene.restore(&[]).code(0);
    scene.goes_on(scene.count());
    let said = scene.case.exec_sh("cat /mnt/a/b/file /mnt/a/b/c/d/file /mnt/file").ok();
    assert_eq!(said, "texttexttext");
}

#[test]
fn a_destination_behind_a_symbolic_link() {
    needs_criu!();
    let mut scene = Scene::counting();
    std::fs::create_dir(scene.case.rootfs("real")).unwrap();
    symlink("/real", scene.case.rootfs("link")).unwrap();
    let source = scene.case.path("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(format!("{source}/file"), "text").unwrap();
    scene.case.mount("/link/in", "bind", &source, &["bind"]);
    scene.start_counting();
    scene.there_and_back();
    scene.goes_on(scene.count());
    assert_eq!(scene.case.exec(&["cat", "/real/in/file"]).ok(), "text");
}

#[test]
fn a_tree_of_mounts() {
    needs_criu!();
    let mut scene = Scene::counting();
    let source = scene.case.path("source");
    std::fs::create_dir_all(format!("{source}/below")).unwrap();
    let host = Mounted::tmpfs(&format!("{source}/below"));
    std::fs::write(format!("{source}/below/file"), "text").unwrap();
    scene.case.mount("/mnt", "bind", &source, &["rbind"]);
    scene.start_counting();
    scene.there_and_back();
    scene.goes_on(scene.count());
    assert_eq!(scene.case.exec(&["cat", "/mnt/below/file"]).ok(), "text");
    scene.case.delete_force().code(0);
    drop(host);
}

/// A mount of the case's own on the host.
struct Mounted(String);

impl Mounted {
    fn tmpfs(path: &str) -> Self {
        assert!(Command::new("mount").args(["-t", "tmpfs", "none", path]).status().unwrap().success());
        Self(path.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", &self.0]).status();
    }
}

#[test]
fn pipes_are_those_of_who_restores() {
    needs_criu!();
    let scene = Scene::sh("while read word; do echo got $word; done");
    let mut command = scene.case.bundled("run", &["--detach"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = scene.case.spawn(command);
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(scene.case.reap(&mut child), 0);
    input.write_all(b"one\n").unwrap();
    assert_eq!(line(&mut output), "got one\n");
    let mut saving = scene.saving(&[]);
    saving.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = scene.case.spawn(saving);
    assert_eq!(scene.case.reap(&mut child), 0);
    let mut command = scene.restoring(&["--detach"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = scene.case.spawn(command);
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(scene.case.reap(&mut child), 0);
    input.write_all(b"two\n").unwrap();
    assert_eq!(line(&mut output), "got two\n");
    drop(input);
    scene.case.becomes("stopped");
}

fn line(reader: &mut impl BufRead) -> String {
    let mut text = String::new();
    reader.read_line(&mut text).unwrap();
    text
}

#[test]
fn a_terminal_is_given_through_the_console_socket() {
    needs_criu!();
    let mut scene = Scene::sh("while read word; do echo got $word; done");
    scene.case.set("/process/terminal", true);
    let first = ConsoleSocket::bind(&scene.case.base().join("first"));
    scene.case.run_with(&["--detach", "--console-socket", first.word()]).code(0);
    let (mut console, _) = first.master();
    console.send("one\n");
    console.until("got one");
    scene.checkpoint(&[]).code(0);
    let second = ConsoleSocket::bind(&scene.case.base().join("second"));
    scene.restore(&["--console-socket", second.word()]).code(0);
    let (mut console, _) = second.master();
    console.send("two\n");
    console.until("got two");
}

#[test]
fn a_network_namespace_from_outside_is_joined_again() {
    needs_criu!();
    let mut scene = Scene::counting();
    let holder = Holder::new();
    let path = holder.path();
    scene.case.namespace("network", Some(std::path::Path::new(&path)));
    scene.start_counting();
    scene.there_and_back();
    scene.goes_on(scene.count());
    let joined = std::fs::read_link(format!("/proc/{}/ns/net", scene.case.pid())).unwrap();
    assert_eq!(joined, std::fs::read_link(&path).unwrap());
    scene.case.delete_force().code(0);
}

/// A process with a network namespace of its own; ends with the case.
struct Holder(std::process::Child);

impl Holder {
    fn new() -> Self {
        let mut command = Command::new("unshare");
        // What it would hold open, whoever runs the suite would wait for.
        command
            .args(["-n", "sleep", "1000"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let holder = Self(command.spawn().unwrap());
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        within(10, "the namespace is made", || {
            (std::fs::read_link(holder.path()).ok()? != own).then_some(())
        });
        holder
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
