//! Device nodes: those that every container has, and those of the configuration.

mod rules;

use crate::support::{Case, Value, json};

macro_rules! defaults {
    ($($name:ident: $path:literal, $number:literal;)*) => {
        $(#[test]
        fn $name() {
            let case = Case::sh(concat!("stat -c '%F %t:%T %a %u:%g' ", $path));
            assert_eq!(case.run().ok(), concat!("character special file ", $number, " 666 0:0"));
        })*
    };
}

defaults! {
    null: "/dev/null", "1:3";
    zero: "/dev/zero", "1:5";
    full: "/dev/full", "1:7";
    random: "/dev/random", "1:8";
    urandom: "/dev/urandom", "1:9";
    tty: "/dev/tty", "5:0";
}

macro_rules! links {
    ($($name:ident: $path:literal => $target:literal;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(Case::sh(concat!("readlink ", $path)).run().ok(), $target);
        })*
    };
}

links! {
    descriptors: "/dev/fd" => "/proc/self/fd";
    standard_input: "/dev/stdin" => "/proc/self/fd/0";
    standard_output: "/dev/stdout" => "/proc/self/fd/1";
    standard_error: "/dev/stderr" => "/proc/self/fd/2";
    terminals: "/dev/ptmx" => "pts/ptmx";
}

#[test]
fn there_are_no_others() {
    let said = Case::sh("ls /dev | grep -v -x -e console -e core | tr '\n' ' '").run().ok();
    assert_eq!(said, "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero");
}

#[test]
fn they_work() {
    let case = Case::sh(
        "echo x > /dev/null && head -c 3 /dev/zero | wc -c && head -c 3 /dev/urandom | wc -c && ! echo x > /dev/full 2> /dev/null && cat < /dev/stdin && cat < /dev/fd/0",
    );
    assert_eq!(case.run().ok(), "3\n3");
}

#[test]
fn they_work_for_an_ordinary_user() {
    let mut case = Case::sh("echo x > /dev/null && head -c 3 /dev/zero | wc -c");
    case.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    assert_eq!(case.run().ok(), "3");
}

/// A case with one more device, whose program is a script.
fn with(device: Value, script: &str) -> Case {
    let mut case = Case::sh(script);
    case.set("/linux/devices/-", device);
    case
}

macro_rules! made {
    ($($name:ident: $device:tt, $path:literal => $expected:literal;)*) => {
        $(#[test]
        fn $name() {
            let case = with(json!($device), concat!("stat -c '%F %t:%T %a %u:%g' ", $path));
            assert_eq!(case.run().ok(), $expected);
        })*
    };
}

made! {
    a_character_device: { "path": "/dev/x", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0 },
        "/dev/x" => "character special file a:e5 666 0:0";
    a_block_device: { "path": "/dev/x", "type": "b", "major": 7, "minor": 3, "fileMode": 432, "uid": 0, "gid": 6 },
        "/dev/x" => "block special file 7:3 660 0:6";
    an_unbuffered_device: { "path": "/dev/x", "type": "u", "major": 10, "minor": 229, "fileMode": 438 },
        "/dev/x" => "character special file a:e5 666 0:0";
    a_pipe: { "path": "/dev/x", "type": "p", "fileMode": 384 }, "/dev/x" => "fifo 0:0 600 0:0";
    the_owner_and_group_of_a_device: { "path": "/dev/x", "type": "c", "major": 1, "minor": 5, "fileMode": 416, "uid": 1000, "gid": 50 },
        "/dev/x" => "character special file 1:5 640 1000:50";
    the_mode_is_not_masked: { "path": "/dev/x", "type": "c", "major": 1, "minor": 5, "fileMode": 511 },
        "/dev/x" => "character special file 1:5 777 0:0";
    folders_are_made_for_it: { "path": "/dev/a/b/x", "type": "c", "major": 1, "minor": 5, "fileMode": 438 },
        "/dev/a/b/x" => "character special file 1:5 666 0:0";
    a_device_elsewhere: { "path": "/some/where/x", "type": "c", "major": 1, "minor": 5, "fileMode": 438 },
        "/some/where/x" => "character special file 1:5 666 0:0";
    a_device_that_is_there_by_default: { "path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 438 },
        "/dev/null" => "character special file 1:3 666 0:0";
    a_default_with_another_mode: { "path": "/dev/tty", "type": "c", "major": 5, "minor": 0, "fileMode": 438 },
        "/dev/tty" => "character special file 5:0 666 0:0";
    a_large_minor: { "path": "/dev/x", "type": "c", "major": 10, "minor": 65_537, "fileMode": 438 },
        "/dev/x" => "character special file a:10001 666 0:0";
}

#[test]
fn a_terminal_device_of_the_configuration_is_passed_over() {
    let case = with(
        json!({ "path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2, "fileMode": 438 }),
        "ls -l /dev/ptmx | cut -c1",
    );
    // The link to the container's own stays, or leads to a device that is its own.
    let said = case.run().ok();
    assert!(said == "l" || said == "c", "{said}");
}

#[test]
fn a_mode_that_is_missing_is_no_error() {
    let case = with(json!({ "path": "/dev/x", "type": "c", "major": 1, "minor": 5 }), "stat -c %t:%T /dev/x");
    assert_eq!(case.run().ok(), "1:5");
}

#[test]
fn several_devices() {
    let mut case = with(
        json!({ "path": "/dev/x", "type": "c", "major": 1, "minor": 5, "fileMode": 438 }),
        "stat -c %T /dev/x /dev/y /dev/z",
    );
    case.set(
        "/linux/devices/-",
        json!({ "path": "/dev/y", "type": "c", "major": 1, "minor": 7, "fileMode": 438 }),
    );
    case.set(
        "/linux/devices/-",
        json!({ "path": "/dev/z", "type": "c", "major": 1, "minor": 9, "fileMode": 438 }),
    );
    assert_eq!(case.run().ok(), "5\n7\n9");
}

#[test]
fn a_device_below_a_bound_dev_of_the_host_is_left_to_the_host() {
    // Nothing is made in the host's folder.
    let mut case = with(
        json!({ "path": "/dev/x-of-the-suite", "type": "c", "major": 1, "minor": 5, "fileMode": 438 }),
        "ls /dev/null",
    );
    case.set(
        "/mounts/1",
        json!({ "destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"] }),
    );
    let list = case.config["mounts"].as_array_mut().unwrap();
    list.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev/"));
    let said = case.run();
    let made = std::path::Path::new("/dev/x-of-the-suite").exists();
    if made {
        std::fs::remove_file("/dev/x-of-the-suite").unwrap();
    }
    assert!(!made, "{said}");
    assert_eq!(said.ok(), "/dev/null");
}

#[test]
fn a_device_on_a_bound_file_of_the_configuration() {
    // Whoever binds a device and names it too gets one of them.
    let mut case = with(
        json!({ "path": "/dev/x", "type": "c", "major": 1, "minor": 5, "fileMode": 438 }),
        "stat -c %t:%T /dev/x",
    );
    case.mount("/dev/x", "bind", "/dev/zero", &["bind"]);
    assert_eq!(case.run().ok(), "1:5");
}

macro_rules! refused {
    ($($name:ident: $device:tt;)*) => {
        $(#[test]
        fn $name() {
            let case = with(json!($device), "true");
            case.create().failed();
            case.nothing_left();
        })*
    };
}

refused! {
    an_unknown_type_is_refused: { "path": "/dev/x", "type": "x", "major": 1, "minor": 5 };
    a_type_that_is_missing_is_refused: { "path": "/dev/x", "major": 1, "minor": 5 };
    a_type_that_is_empty_is_refused: { "path": "/dev/x", "type": "", "major": 1, "minor": 5 };
}

#[test]
fn a_container_without_dev_gets_devices_in_its_root() {
    let mut case = Case::sh("stat -c %t:%T /dev/null");
    let list = case.config["mounts"].as_array_mut().unwrap();
    list.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    assert_eq!(case.run().ok(), "1:3");
}

#[test]
fn a_wrong_file_where_a_default_device_belongs_is_not_taken_for_it() {
    let mut case = Case::sh("stat -c %t:%T /dev/null");
    let list = case.config["mounts"].as_array_mut().unwrap();
    list.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    std::fs::write(case.rootfs("dev/null"), "no device").unwrap();
    let said = case.run();
    assert!(said.code != 0 || said.out == "1:3\n", "{said}");
}

#[test]
fn dev_can_be_written_by_root_and_nobody_else() {
    assert_eq!(Case::sh("stat -c '%a %u:%g' /dev").run().ok(), "755 0:0");
}
