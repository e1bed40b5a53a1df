//! System containers: reboot and poweroff from inside.

use crate::support::{Frames, Setup};
use sampan_types::task::Request;
use std::io::Write;

#[test]
fn a_reboot_starts_init_again_in_the_same_network_and_poweroff_ends() {
    for (own_ids, overlay) in [(false, false), (true, false), (false, true), (true, true)] {
        let script = "readlink /proc/self/ns/net; readlink /proc/self/ns/user; id -u
            if [ -e /tmp/again ]; then poweroff -f; fi; touch /tmp/again; reboot -f";
        let mut setup = Setup::shell(script);
        if own_ids {
            setup = setup.own_ids();
        }
        if overlay {
            setup = setup.overlay();
        }
        setup.task.system = true;
        let mut shim = setup.create();
        let mut stream = shim.start_attached(false);
        let output = String::from_utf8(Frames::read(&mut stream).stdout).unwrap();
        let lines: Vec<_> = output.lines().collect();
        assert_eq!(lines.len(), 6, "{lines:?}\n{}", shim.own_log());
        assert_eq!(lines[..3], lines[3..]);
        let exit = shim.client.exit(None);
        assert_eq!((exit.code, exit.error), (0, None));
        assert_eq!(shim.state().restarts, 1);
    }
}

#[test]
fn an_init_that_only_reboots_is_given_up() {
    let mut setup = Setup::shell("reboot -f");
    setup.task.system = true;
    let mut shim = setup.create();
    shim.start();
    let exit = shim.client.exit(None);
    let id = shim.state().id;
    assert_eq!(
        (exit.code, exit.error),
        (
            125,
            Some(format!(
                "cannot reboot container {}: it has rebooted more than 5 times within 10 seconds",
                id.short()
            ))
        )
    );
    assert_eq!(shim.state().restarts, 5);
}

#[test]
fn a_reboot_that_races_with_a_stop_does_not_start_again() {
    let mut setup = Setup::shell("trap 'reboot -f' TERM; echo ready; while :; do usleep 1000; done");
    setup.task.system = true;
    let mut shim = setup.create();
    let mut stream = shim.start_attached(false);
    Frames::default().read_one(&mut stream);
    shim.client.ask(&Request::Stop { signal: 15, timeout_ms: Some(10_000) });
    assert_eq!(shim.client.exit(None).code, 0);
    assert_eq!(shim.state().restarts, 0);
}

#[test]
fn a_terminal_survives_a_reboot_with_its_size_and_clients() {
    let script = "stty size; read x; echo \"got $x\"; if [ -e /tmp/again ]; then poweroff -f; fi; touch /tmp/again; reboot -f";
    let mut setup = Setup::shell(script).terminal();
    setup.task.system = true;
    let mut shim = setup.create();
    shim.client.ask(&Request::Resize { exec: None, rows: 44, cols: 55 });
    let mut stream = shim.start_attached(true);
    stream.write_all(b"one\n").unwrap();
    let mut text = String::new();
    let mut buffer = [0; 256];
    while text.matches("44 55\r\n").count() < 2 {
        let count = std::io::Read::read(&mut stream, &mut buffer).unwrap();
        assert!(count > 0, "{text:?}\n{}", shim.own_log());
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    stream.write_all(b"two\n").unwrap();
    while !text.contains("got two") {
        let count = std::io::Read::read(&mut stream, &mut buffer).unwrap();
        assert!(count > 0, "{text:?}");
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    assert_eq!(shim.client.exit(None).code, 0);
}
