//! Descriptors that the caller hands on.

use crate::support::Bundle;
use std::{fs, process::Command};

/// The runtime's command, started by a shell that opens descriptors first.
fn with(bundle: &Bundle, opening: &str, words: &[&str]) -> Command {
    let inner = bundle.command(words);
    let mut shell = Command::new("bash");
    shell
        .arg("-c")
        .arg(format!("{opening}; exec \"$@\""))
        .arg("bash")
        .arg(inner.get_program())
        .args(inner.get_args());
    shell.current_dir(bundle.base.path()).stdin(std::process::Stdio::null());
    shell
}

#[test]
fn preserved_ones_are_open_in_the_program_and_no_others() {
    let bundle = Bundle::shell("cat <&3; cat <&4; ls /proc/self/fd");
    for name in ["three", "four", "nine"] {
        fs::write(bundle.base.path().join(name), format!("{name}\n")).unwrap();
    }
    let command = with(&bundle, "exec 3<three 4<four 9<nine", &["run", "--preserve-fds", "2", "$ID"]);
    let output = bundle.ends(command);
    // `ls` reads the directory through one of its own.
    assert_eq!(String::from_utf8_lossy(&output.stdout), "three\nfour\n0\n1\n2\n3\n4\n5\n");
}

#[test]
fn one_that_is_not_open_is_refused() {
    let bundle = Bundle::shell("true");
    let output = bundle.ends(with(&bundle, "exec 3<config.json", &["run", "--preserve-fds", "2", "$ID"]));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("file descriptor 4 of the 2 to be passed on is not open"), "{told}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn sockets_of_a_service_come_first() {
    let bundle = Bundle::shell("echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; cat <&3");
    fs::write(bundle.base.path().join("three"), "three\n").unwrap();
    let opening = "exec 3<three; export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=web";
    let output = bundle.ends(with(&bundle, opening, &["run", "$ID"]));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 1 web\nthree\n");
    let opening = "exec 3<three; export LISTEN_FDS=1 LISTEN_PID=1";
    let output = bundle.ends(with(&bundle, opening, &["run", "$ID"]));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).lines().next(),
        Some(""),
        "they are not for this process"
    );
}
