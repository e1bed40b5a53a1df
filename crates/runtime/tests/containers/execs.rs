//! Processes beside init.

use crate::{
    Test,
    support::{Ended, Fixture, end, pipes, shell, wait},
};
use sampan_runtime::{Container, ExecOptions, Stdio};
use sampan_types::{
    Result,
    spec::{ConsoleSize, Process, Rlimit},
};
use std::{fs::File, io::Read, os::fd::AsFd};

pub(crate) const TESTS: &[Test] = &[
    ("exec_joins_everything", joins),
    ("exec_runs_as_it_says", identity),
    ("exec_missing_program", missing),
    ("exec_with_a_terminal", terminal),
    ("exec_in_a_paused_or_ended_container", refused),
    ("exec_many", many),
];

pub(crate) fn running(fixture: &Fixture) -> Container {
    let (mut container, _reader) = fixture.create_piped().unwrap();
    container.start().unwrap();
    container
}

pub(crate) fn run(container: &Container, process: &Process) -> Result<Ended> {
    let (reader, stdio) = pipes();
    let exec = container.exec(process, stdio, &ExecOptions::default())?;
    Ok(end(exec.pidfd.as_fd(), reader))
}

fn joins() {
    let fixture = Fixture::new("sleep 100");
    let container = running(&fixture);
    let kinds = "cgroup ipc mnt net pid user uts";
    let script = format!(
        "for n in {kinds}; do [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] || echo $n; done; id; \
         cat /proc/self/cgroup; readlink /proc/self/exe; ls /proc/self/fd; exit 3"
    );
    let ended = run(&container, &shell(&script)).unwrap();
    let lines: Vec<_> = ended.text.lines().collect();
    assert!(lines[0].starts_with("uid=0(root) gid=0"), "{lines:?}");
    let rest: Vec<_> = lines.iter().filter(|line| line.ends_with(":/")).collect();
    assert_eq!(rest.len(), lines.len() - 6, "{lines:?}");
    assert_eq!(lines[lines.len() - 4..], ["0", "1", "2", "3"]);
    assert_eq!(ended.code, 3);
    // The runtime itself is where it was: its next children are not in the container.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    assert!(status.contains(&format!("NSpid:\t{}\n", std::process::id())), "{status}");
    let own = std::fs::read_link("/proc/self/ns/pid_for_children").unwrap();
    assert_eq!(own, std::fs::read_link("/proc/self/ns/pid").unwrap());
    container.delete().unwrap();
}

fn identity() {
    let fixture = Fixture::new("sleep 100");
    let container = running(&fixture);
    let mut process = shell(
        "id -u; ulimit -n; pwd; grep -E 'CapEff|NoNew' /proc/self/status; cat /proc/self/oom_score_adj",
    );
    process.user.uid = 1000;
    process.cwd = "/tmp".into();
    process.rlimits = vec![Rlimit { kind: "RLIMIT_NOFILE".into(), hard: 64, soft: 64 }];
    process.oom_score_adj = Some(500);
    let ended = run(&container, &process).unwrap();
    assert_eq!(ended.text, "1000\n64\n/tmp\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n500\n");
    container.delete().unwrap();
}

fn missing() {
    let fixture = Fixture::new("sleep 100");
    let container = running(&fixture);
    let mut process = shell("");
    process.args[0] = "nonsense".into();
    let error = run(&container, &process).unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "CommandNotFound: exec: \"nonsense\": executable file not found in $PATH"
    );
    process.args[0] = "/etc/passwd".into();
    assert_eq!(run(&container, &process).unwrap_err().kind().exit_code(), 126);
    assert_eq!(container.cgroup().pids().unwrap().len(), 1, "what failed is gone");
    container.delete().unwrap();
}

/// All that a terminal shows until its last process ends.
fn shown(master: std::os::fd::OwnedFd) -> String {
    let (mut text, mut buffer) = (Vec::new(), [0; 1024]);
    let mut master = File::from(master);
    // A terminal without processes answers with an error, EIO.
    while let Ok(count @ 1..) = master.read(&mut buffer) {
        text.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(text).unwrap()
}

fn terminal() {
    let mut fixture =
        Fixture::new("tty; stty size; echo out > /dev/console; ls -ln /dev/console; sleep 0.2; exit 5");
    fixture.process().terminal = true;
    fixture.process().user.uid = 1000;
    let size = Some(ConsoleSize { height: 33, width: 101 });
    let mut container = fixture.create(Stdio::Console { size }).unwrap();
    container.start().unwrap();
    let mut process = shell("tty; stty size; echo x > /dev/tty");
    process.terminal = true;
    let exec = container
        .exec(
            &process,
            Stdio::Console { size: Some(ConsoleSize { height: 2, width: 3 }) },
            &ExecOptions::default(),
        )
        .unwrap();
    let own = shown(exec.console.unwrap());
    assert_eq!(own.replace('\r', ""), "/dev/pts/1\n2 3\nx\n");
    assert_eq!(wait(exec.pidfd.as_fd()), 0);
    let text = shown(container.take_console().unwrap()).replace('\r', "");
    assert!(text.starts_with("/dev/pts/0\n33 101\nout\ncrw--w----"), "{text}");
    assert!(text.contains(" 1000 "), "{text}");
    assert_eq!(wait(container.pidfd().unwrap()), 5);
    container.delete().unwrap();
    fixture.assert_nothing_left();
}

fn refused() {
    let fixture = Fixture::new("sleep 100");
    let container = running(&fixture);
    container.cgroup().freeze().unwrap();
    assert!(container.cgroup().frozen().unwrap());
    let error = run(&container, &shell("true")).unwrap_err();
    assert_eq!(error.to_string(), "cannot exec in a paused container");
    container.cgroup().thaw().unwrap();
    assert_eq!(run(&container, &shell("true")).unwrap().code, 0);
    container.cgroup().freeze().unwrap();
    container.kill_all().unwrap();
    assert_eq!(wait(container.pidfd().unwrap()), 137, "also what is frozen dies");
    let error = run(&container, &shell("true")).unwrap_err();
    assert_eq!(error.causes(), ["it is not running"]);
    container.delete().unwrap();
}

fn many() {
    let fixture = Fixture::new("sleep 100");
    let container = running(&fixture);
    let fds = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = fds();
    for code in 0..20 {
        assert_eq!(run(&container, &shell(&format!("exit {code}"))).unwrap().code, code);
    }
    assert_eq!(fds(), before, "no descriptor is left open");
    container.delete().unwrap();
}
