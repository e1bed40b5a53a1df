//! What a person reads when something is wrong: what failed, why, what to do.

use sampan_tests::{Sandbox, eventually, places};
use std::net::TcpListener;
use std::process::Command;

#[test]
fn a_taken_name_says_by_whom() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("box", "--network none");
    sandbox.sampan("run -d --name box --network none busybox true").code(125).error(
        "box",
        "the name is in use by container",
        "--name",
    );
}

#[test]
fn a_port_taken_by_a_program_names_it() {
    let sandbox = Sandbox::new();
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = sandbox.sampan(&format!("run -d --name web -p {port}:80 busybox sleep 9")).code(125);
    let holder = format!("(pid {})", std::process::id());
    said.error(&format!("cannot publish port {port}/tcp"), &holder, "-p ");
    // As with Docker the container is there, and starts when the port is free.
    drop(listener);
    assert_eq!(sandbox.state("web"), "created");
    // A child that another test's thread is just starting may hold the socket for a moment longer.
    eventually("the port is free", || sandbox.sampan("start web").code == 0);
}

#[test]
fn a_port_taken_by_a_container_names_it() {
    let sandbox = Sandbox::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    sandbox.sleeper("first", &format!("-p {port}:80"));
    sandbox.sampan(&format!("run -d --name second -p {port}:80 busybox sleep 9")).code(125).error(
        &format!("{port}/tcp"),
        "first",
        "-p ",
    );
}

#[test]
fn an_unknown_image_says_where_images_come_from() {
    let sandbox = Sandbox::new();
    sandbox.sampan("run --rm no-such-image true").code(125).error("no-such-image", "", "sampan image");
    sandbox.sampan("launch no-such-image box").code(125).error("no-such-image", "", "sampan image");
}

#[test]
fn an_image_reference_that_is_none_says_so() {
    let sandbox = Sandbox::new();
    sandbox.sampan("run --rm Upper/CASE true").code(125).complains("Upper/CASE");
}

#[test]
fn a_volume_that_cannot_be_mounted_is_named() {
    let sandbox = Sandbox::new();
    let run =
        |volume: &str| sandbox.words(&["run", "--rm", "--network", "none", "-v", volume, "busybox", "true"]);
    run("/etc/passwd/below:/data").code(125).error("/etc/passwd/below", "Not a directory", "");
    run("/etc/passwd:/etc").code(125).error("/etc", "irectory", "");
    run("/etc/passwd:also-relative").code(125).error("also-relative", "", "");
    assert_eq!(sandbox.sampan("ps -aq").ok(), "", "--rm is kept");
}

#[test]
fn an_image_without_init_cannot_be_launched() {
    let sandbox = Sandbox::debian();
    sandbox.sampan("launch debian box").code(125).error("box", "init", "run");
    assert_eq!(sandbox.state("box"), "created");
}

#[test]
fn an_unknown_container_is_named_with_the_way_to_list_them() {
    let sandbox = Sandbox::new();
    for verb in ["start", "stop", "kill", "rm", "logs", "inspect", "console", "restart"] {
        sandbox.words(&[verb, "ghost"]).failed().error("ghost", "", "sampan ps -a");
    }
    sandbox.sampan("exec ghost true").failed().error("ghost", "", "sampan ps -a");
}

#[test]
fn exec_in_a_container_that_does_not_run_says_how_to_start_it() {
    let sandbox = Sandbox::new();
    sandbox.sampan("run --name box --network none busybox true").code(0);
    sandbox.sampan("exec box true").failed().error("box", "not run", "sampan start box");
}

#[test]
fn without_privilege_the_command_says_so() {
    let sandbox = Sandbox::new();
    let words = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let output = Command::new("setpriv")
        .args(words)
        .arg(reachable_program(&sandbox))
        .args([
            "--root",
            "/var/lib/sampan-nobody",
            "--run",
            "/run/sampan-nobody",
            "run",
            "--rm",
            "busybox",
            "true",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("error: ") && lines[0].contains("/var/lib/sampan-nobody"), "{text}");
    assert!(
        lines.iter().any(|line| line.starts_with("cause: ") && line.contains("Permission denied")),
        "{text}"
    );
    assert!(lines.iter().any(|line| line.starts_with("try: ") && line.contains("root")), "{text}");
}

/// The program where everybody may run it: the checkout may lie in a folder that is closed to others.
fn reachable_program(sandbox: &Sandbox) -> std::path::PathBuf {
    let copy = sandbox.files().join("sampan");
    // By another process: this one may be forking in another thread, and what a child holds open for writing cannot be run.
    let copied = Command::new("cp").arg(places::program()).arg(&copy).status().unwrap();
    assert!(copied.success());
    copy
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let disk = sandbox.files().join("disk");
    let mounted = sandbox.files().join("mounted");
    std::fs::create_dir(&mounted).unwrap();
    std::fs::File::create(&disk).unwrap().set_len(24 << 20).unwrap();
    assert!(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).arg(&disk).status().unwrap().success());
    assert!(Command::new("mount").args(["-o", "loop"]).args([&disk, &mounted]).status().unwrap().success());
    let root = mounted.join("root");
    let sampan = |words: &[&str]| {
        let mut command = Command::new(places::program());
        command.arg("--root").arg(&root).arg("--run").arg(sandbox.run_dir().join("full")).args(words);
        command.output().unwrap()
    };
    // Nearly all of the disk is taken: an image does not fit.
    std::fs::create_dir(&root).unwrap();
    let _ = std::fs::write(mounted.join("ballast"), vec![b'x'; 22 << 20]);
    let said = sampan(&["image", "create", "busybox", "--template", "busybox"]);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    std::fs::remove_file(mounted.join("ballast")).unwrap();
    let again = sampan(&["image", "create", "busybox", "--template", "busybox"]);
    let list = sampan(&["images"]);
    assert!(Command::new("umount").arg(&mounted).status().unwrap().success());

    assert!(!said.status.success(), "{text}");
    // By the kernel's words or, where not even the records find room, by SQLite's.
    assert!(text.contains("No space left on device") || text.contains("disk is full"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("try: ") && line.contains("space")), "{text}");
    assert!(again.status.success(), "with space it works: {}", String::from_utf8_lossy(&again.stderr));
    assert!(String::from_utf8_lossy(&list.stdout).contains("busybox"));
}

#[test]
fn options_that_exclude_each_other_are_refused() {
    let sandbox = Sandbox::new();
    let said = sandbox.sampan("run --rm --network none -p 8080:80 busybox true").code(125);
    said.error("publish ports", "network", "--network");
}

#[test]
fn a_second_start_of_what_runs_is_no_failure() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("box", "--network none");
    let pid = sandbox.pid("box");
    sandbox.sampan("start box").code(0);
    assert_eq!(sandbox.pid("box"), pid);
}

#[test]
fn an_ambiguous_id_is_refused() {
    let sandbox = Sandbox::new();
    let mut ids = Vec::new();
    // With 17 ids two begin with the same digit.
    for _ in 0..17 {
        ids.push(sandbox.sampan("create --network none busybox true").ok());
    }
    let first = ids
        .iter()
        .map(|id| &id[..1])
        .find(|first| ids.iter().filter(|id| id.starts_with(*first)).count() > 1)
        .unwrap();
    sandbox.words(&["inspect", first]).failed().error(first, "", "");
}
