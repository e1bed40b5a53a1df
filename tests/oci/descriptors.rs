//! Open descriptors: which come along, which must not.

use crate::support::Case;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

/// The shell in between gives the runtime descriptors: libtest's own are all closed on exec.
fn through_shell(case: &Case, redirections: &str, environment: &[(&str, &str)], options: &[&str]) -> Command {
    let inner = case.bundled("run", options);
    // An announcement is for the process of this number alone (sd_listen_fds(3)).
    let announce = if environment.is_empty() { "" } else { "export LISTEN_PID=$$; " };
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{announce}exec \"$@\" {redirections}"))
        .arg("sh")
        .arg(inner.get_program())
        .args(inner.get_args());
    command.stdin(Stdio::null()).envs(environment.iter().copied());
    command
}

#[test]
fn a_program_has_its_three_descriptors_and_no_other() {
    let case = Case::sh("cd /proc/self/fd; echo *");
    // The fourth is the shell's own of the folder.
    let said = case.run().ok();
    assert!(said == "0 1 2" || said == "0 1 2 3", "{said}");
}

#[test]
fn descriptors_of_the_caller_do_not_come_along() {
    let case = Case::sh("cat <&5");
    std::fs::write(case.base().join("secret"), "secret\n").unwrap();
    let said = case.end(through_shell(&case, &format!("5<{}", case.path("secret")), &[], &[]));
    assert!(!said.out.contains("secret"), "{said}");
}

#[test]
fn preserved_descriptors_come_along() {
    let case = Case::sh("cat <&3; cat <&4");
    std::fs::write(case.base().join("three"), "three\n").unwrap();
    std::fs::write(case.base().join("four"), "four\n").unwrap();
    let redirections = format!("3<{} 4<{}", case.path("three"), case.path("four"));
    let said = case.end(through_shell(&case, &redirections, &[], &["--preserve-fds", "2"]));
    assert_eq!(said.ok(), "three\nfour");
}

#[test]
fn preserved_descriptors_are_not_announced() {
    let case = Case::sh("echo ${LISTEN_FDS:-none}");
    let said = case.end(through_shell(&case, "3</dev/null", &[], &["--preserve-fds", "1"]));
    assert_eq!(said.ok(), "none");
}

#[test]
fn a_descriptor_beyond_those_preserved_does_not_come_along() {
    let case = Case::sh("cat <&4");
    std::fs::write(case.base().join("secret"), "secret\n").unwrap();
    let redirections = format!("3</dev/null 4<{}", case.path("secret"));
    let said = case.end(through_shell(&case, &redirections, &[], &["--preserve-fds", "1"]));
    assert!(!said.out.contains("secret"), "{said}");
}

#[test]
fn more_preserved_than_open_is_refused() {
    let case = Case::sh("echo ran");
    let said = case.end(through_shell(&case, "", &[], &["--preserve-fds", "7"]));
    assert!(said.code != 0, "{said}");
}

#[test]
fn sockets_of_an_activation_come_along_with_their_announcement() {
    let case = Case::sh("echo $LISTEN_FDS $LISTEN_PID; cat <&3");
    std::fs::write(case.base().join("three"), "three\n").unwrap();
    let redirections = format!("3<{}", case.path("three"));
    let said = case.end(through_shell(&case, &redirections, &[("LISTEN_FDS", "1")], &[]));
    assert_eq!(said.ok(), "1 1\nthree");
}

#[test]
fn sockets_of_an_activation_come_before_preserved_descriptors() {
    let case = Case::sh("echo $LISTEN_FDS; cat <&3; cat <&4");
    std::fs::write(case.base().join("three"), "three\n").unwrap();
    std::fs::write(case.base().join("four"), "four\n").unwrap();
    let redirections = format!("3<{} 4<{}", case.path("three"), case.path("four"));
    let said =
        case.end(through_shell(&case, &redirections, &[("LISTEN_FDS", "1")], &["--preserve-fds", "1"]));
    assert_eq!(said.ok(), "1\nthree\nfour");
}

#[test]
fn preserved_descriptors_come_along_to_exec() {
    let case = Case::idle();
    case.detached();
    std::fs::write(case.base().join("three"), "three\n").unwrap();
    let inner = case.command(&["exec", "--preserve-fds", "1", case.id(), "sh", "-c", "cat <&3"]);
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("exec \"$@\" 3<{}", case.path("three"))).arg("sh");
    command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
    assert_eq!(case.end(command).ok(), "three");
}

#[test]
fn exec_has_its_three_descriptors_and_no_other() {
    let case = Case::idle();
    case.detached();
    let said = case.exec_sh("cd /proc/self/fd; echo *").ok();
    assert!(said == "0 1 2" || said == "0 1 2 3", "{said}");
}

#[test]
fn standard_streams_are_those_of_the_caller() {
    let case = Case::sh("cat; echo err >&2");
    let mut command = case.bundled("run", &[]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(writer);
    command.stdin(reader);
    let said = case.end(command).code(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", "err\n"));
}

#[test]
fn a_pipe_on_standard_input_is_the_programs_own() {
    let case = Case::sh("readlink /proc/self/fd/0 > /link");
    let (reader, _writer) = std::io::pipe().unwrap();
    let reader = OwnedFd::from(reader);
    let expected =
        std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader))).unwrap();
    let mut command = case.bundled("run", &["--detach"]);
    command.stdin(Stdio::from(reader.as_fd().try_clone_to_owned().unwrap()));
    case.end(command).code(0);
    assert_eq!(
        crate::support::within(10, "the link", || Some(case.appears("link")).filter(|text| !text.is_empty()))
            .trim(),
        expected.to_str().unwrap()
    );
}

/// What is open in the process that waits for `start`, apart from the standard streams.
fn open_in_created(case: &Case) -> Vec<String> {
    let folder = format!("/proc/{}/fd", case.pid());
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let links = entries
        .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok_and(|number| number > 2));
    links
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|link| link.display().to_string())
        .collect()
}

#[test]
fn a_created_container_holds_nothing_of_the_host() {
    let mut case = Case::idle();
    case.set("/linux/cgroupsPath", case.cgroup());
    case.create().code(0);
    for link in open_in_created(&case) {
        let own = case.base().to_str().unwrap();
        let of_host =
            link.starts_with("/sys/fs/cgroup") || (link.starts_with(own) && !link.ends_with("exec.fifo"));
        assert!(!of_host, "{link}");
    }
    let host = std::fs::metadata("/").unwrap();
    for entry in std::fs::read_dir(format!("/proc/{}/fd", case.pid())).unwrap().flatten() {
        let open = std::fs::metadata(entry.path());
        assert!(
            !open.is_ok_and(|open| (open.dev(), open.ino()) == (host.dev(), host.ino())),
            "{entry:?} is the host's root"
        );
    }
}

#[test]
fn bind_mounts_leave_no_descriptor_open() {
    let mut case = Case::idle();
    std::fs::create_dir(case.base().join("source")).unwrap();
    let source = case.path("source");
    case.mount("/mnt", "bind", &source, &["rbind"]);
    case.create().code(0);
    let open = open_in_created(&case);
    assert!(!open.iter().any(|link| link.contains("source")), "{open:?}");
}

#[test]
fn a_hook_inside_sees_the_standard_streams_only() {
    let mut case = Case::new();
    case.set("/hooks/startContainer/-/path", "/bin/sh");
    case.set("/hooks/startContainer/0/args", ["sh", "-c", "ls /proc/self/fd > /fds"]);
    case.run().code(0);
    let seen = case.appears("fds");
    // The fourth is that of ls itself.
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
}

#[test]
fn standard_streams_are_given_to_the_user_of_the_program() {
    let mut case = Case::sh("echo hi > /dev/stderr");
    case.set("/process/user", serde_json::json!({ "uid": 1000, "gid": 1000 }));
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = case.bundled("create", &[]);
    command.stdout(Stdio::null()).stderr(writer.try_clone().unwrap());
    let mut child = case.spawn(command);
    drop(writer);
    let code = case.reap(&mut child);
    let owner = File::from(OwnedFd::from(reader)).metadata().unwrap().uid();
    assert_eq!((code, owner), (0, 1000));
}

#[test]
fn the_null_device_of_the_host_is_given_to_nobody() {
    let mut case = Case::idle();
    case.set("/process/user", serde_json::json!({ "uid": 1000, "gid": 1000 }));
    let mut command = case.bundled("run", &["--detach"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = case.spawn(command);
    assert_eq!(case.reap(&mut child), 0);
    let mut command = case.command(&["exec", "--user", "1000:1000", case.id(), "true"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = case.spawn(command);
    assert_eq!(case.reap(&mut child), 0);
    let null = std::fs::metadata("/dev/null").unwrap();
    assert_eq!((null.uid(), null.gid()), (0, 0));
}

#[test]
fn closed_standard_streams_do_not_confuse_it() {
    let case = Case::sh("echo ran > /ran");
    let inner = case.bundled("run", &[]);
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("exec \"$@\" <&- >&- 2>&-")
        .arg("sh")
        .arg(inner.get_program())
        .args(inner.get_args());
    let said = case.end(command);
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(case.appears("ran"), "ran\n");
}
