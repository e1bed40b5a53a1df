//! A supervisor that waits for the container to be ready.

use crate::support::{Bundle, PATIENCE};
use std::{os::unix::net::UnixDatagram, process::Command, time::Duration};

/// What the container's program says through its socket: busybox has no tool for it, so the test does, as somebody inside would.
fn say(bundle: &Bundle, text: &[u8]) {
    let path = bundle.base.path().join("state").join(&bundle.id).join("notify/notify.sock");
    crate::support::until("the container has its socket", || path.exists());
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(path).unwrap();
    socket.send(text).unwrap();
}

fn with_supervisor(bundle: &Bundle, words: &[&str]) -> (UnixDatagram, Command) {
    let path = bundle.base.path().join("supervisor");
    let _ = std::fs::remove_file(&path);
    let supervisor = UnixDatagram::bind(&path).unwrap();
    supervisor.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = bundle.command(words);
    command.env("NOTIFY_SOCKET", path);
    (supervisor, command)
}

fn heard(supervisor: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let count = supervisor.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

#[test]
fn start_waits_until_the_container_is_ready_and_names_its_process() {
    let bundle = Bundle::shell("echo $NOTIFY_SOCKET > /tmp/socket; sleep 1000");
    let (_, create) = with_supervisor(&bundle, &["create", "$ID"]);
    assert!(bundle.ends(create).status.success());
    let (supervisor, mut start) = with_supervisor(&bundle, &["start", "$ID"]);
    let mut child = start.spawn().unwrap();
    crate::support::until("the program runs", || bundle.inside("tmp/socket").exists());
    std::thread::sleep(Duration::from_millis(50));
    assert!(child.try_wait().unwrap().is_none(), "it waits");
    say(&bundle, b"READY=1");
    assert!(child.wait().unwrap().success());
    let said = heard(&supervisor);
    let state: serde_json::Value = serde_json::from_str(&bundle.succeeds(&["state", "$ID"])).unwrap();
    assert_eq!(said, format!("READY=1\nMAINPID={}", state["pid"]));
    let socket = std::fs::read_to_string(bundle.inside("tmp/socket")).unwrap();
    assert_eq!(socket, "/run/notify/notify.sock\n");
}

#[test]
fn who_stays_with_the_container_remains_the_main_process() {
    let bundle = Bundle::shell("while ! test -e /tmp/end; do usleep 10000; done");
    let (supervisor, mut run) = with_supervisor(&bundle, &["run", "$ID"]);
    let mut child = run.spawn().unwrap();
    say(&bundle, b"STATUS=x\nREADY=1\n");
    assert_eq!(heard(&supervisor), "READY=1");
    std::fs::write(bundle.inside("tmp/end"), "").unwrap();
    assert!(child.wait().unwrap().success());
}
