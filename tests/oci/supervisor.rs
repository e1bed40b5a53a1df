//! The view of a process supervisor: conmon, as podman and CRI-O have it, drives the runtime.

mod attach;
mod exec;

use crate::support::{Case, Value, runtime, within};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// One conmon and the container, or the command in one, that it holds.
pub(super) struct Conmon<'a> {
    case: &'a Case,
    /// Names its files: logs, exit status, messages.
    name: String,
}

impl<'a> Conmon<'a> {
    /// For the case's container.
    pub(super) fn of(case: &'a Case) -> Self {
        Self::named(case, "box")
    }

    /// With files of this name.
    pub(super) fn named(case: &'a Case, name: &str) -> Self {
        for folder in ["exits", "persist", "s"] {
            std::fs::create_dir_all(case.base().join(folder)).unwrap();
        }
        Self { case, name: name.to_owned() }
    }

    fn file(&self, kind: &str) -> String {
        self.case.path(&format!("{}.{kind}", self.name))
    }

    /// A program that is the runtime, being one path.
    fn runtime(&self) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.case.base().join("runtime");
        if !path.exists() {
            let command = runtime().command();
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
            std::fs::write(&path, format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "))).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        path
    }

    /// Its command line, with what stands after it; it goes into the background by itself. Messages of the sync pipe go to a file.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        self.case.write();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("exec \"$@\" 3>>{}", self.file("sync")),
            "sh",
            "conmon",
            "--api-version",
            "1",
        ]);
        command.args(["--cid", self.case.id(), "--cuuid", &self.name, "--name", "box"]);
        command.arg("--runtime").arg(self.runtime());
        command.arg(format!("--runtime-arg=--root={}", self.case.state_folder().display()));
        command.arg(format!("--runtime-arg=--log={}", self.case.path("runtime.log")));
        command.arg("--runtime-arg=--log-format=json");
        command.arg("--bundle").arg(self.case.bundle());
        command.args(["--container-pidfile", &self.file("pid"), "--conmon-pidfile", &self.file("conmon")]);
        command.args(["--exit-dir", &self.case.path("exits"), "--persist-dir", &self.case.path("persist")]);
        command.args(["--socket-dir-path", &self.case.path("s"), "--full-attach"]);
        command
            .args(["--log-path", &format!("k8s-file:{}", self.file("log")), "--log-level", "error"])
            .args(words);
        command.env("_OCI_SYNCPIPE", "3").stdin(Stdio::null()).stdout(Stdio::null());
        // Seen only when conmon itself does not start.
        command.stderr(std::fs::File::create(self.file("err")).unwrap());
        command
    }

    /// Starts it, and waits for its word about the runtime: the container's pid, or a negative number and a message.
    #[track_caller]
    pub(super) fn begin(&self, words: &[&str]) -> (i64, String) {
        let status = self.command(words).status().expect("conmon can be run: `cargo xtask setup test`");
        assert!(
            status.success(),
            "conmon ended with {status}: {}",
            std::fs::read_to_string(self.file("err")).unwrap()
        );
        let word = within(10, "conmon's word", || {
            let text = std::fs::read_to_string(self.file("sync")).ok()?;
            serde_json::from_str::<Value>(text.lines().next()?).ok()
        });
        let number = word["pid"].as_i64().or(word["data"].as_i64()).expect("a number");
        (number, word["message"].as_str().unwrap_or_default().to_owned())
    }

    /// Starts it and the container, which it has created.
    #[track_caller]
    pub(super) fn run(&self, words: &[&str]) {
        let (pid, message) = self.begin(words);
        assert!(pid > 0, "{pid}: {message}");
        assert_eq!(pid, self.case.pid());
        self.case.start().code(0);
    }

    /// Waits for the file that conmon writes at the container's end, and gives the exit code in it.
    #[track_caller]
    pub(super) fn exit(&self) -> String {
        let path = self.case.base().join("exits").join(self.case.id());
        within(10, "the exit file", || std::fs::read_to_string(&path).ok().filter(|text| !text.is_empty()))
    }

    /// The lines of the log: stream and text. A line that conmon read in parts is one again.
    pub(super) fn log(&self) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(self.file("log")).unwrap_or_default();
        let mut lines: Vec<(String, String)> = Vec::new();
        let mut is_partial = false;
        for line in text.lines() {
            let mut words = line.splitn(4, ' ').skip(1);
            let (Some(stream), Some(tag), Some(text)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let text = text.trim_end_matches('\r');
            match lines.last_mut().filter(|_| is_partial) {
                Some(last) => last.1 += text,
                None => lines.push((stream.to_owned(), text.to_owned())),
            }
            is_partial = tag == "P";
        }
        lines
    }

    /// Waits until conmon itself has ended, so that everything is written.
    #[track_caller]
    pub(super) fn ended(&self) {
        let pid = std::fs::read_to_string(self.file("conmon")).unwrap_or_default();
        within(10, "conmon ends", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            (stat.is_empty() || stat.contains(") Z ")).then_some(())
        });
    }
}

impl Drop for Conmon<'_> {
    fn drop(&mut self) {
        // A conmon whose container never came, or will not end, would stay.
        let _ = self.case.command(&["delete", "--force", self.case.id()]).stderr(Stdio::null()).status();
        let pid = std::fs::read_to_string(self.file("conmon")).ok().and_then(|text| text.trim().parse().ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            for _ in 0..200 {
                let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))
                    .unwrap_or_default();
                if !stat.contains("(conmon)") || stat.contains(") Z ") {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

fn line(stream: &str, text: &str) -> (String, String) {
    (stream.to_owned(), text.to_owned())
}

#[test]
fn output_is_in_the_log() {
    let case = Case::sh("echo hello");
    let conmon = Conmon::of(&case);
    conmon.run(&[]);
    assert_eq!(conmon.exit(), "0");
    conmon.ended();
    assert_eq!(conmon.log(), [line("stdout", "hello")]);
}

#[test]
fn the_streams_are_kept_apart() {
    let case = Case::sh("echo out; sleep 0.05; echo err >&2");
    let conmon = Conmon::of(&case);
    conmon.run(&[]);
    conmon.exit();
    conmon.ended();
    assert_eq!(conmon.log(), [line("stdout", "out"), line("stderr", "err")]);
}

#[test]
fn the_exit_code_is_in_the_exit_file() {
    for code in [0, 1, 42, 255] {
        let case = Case::sh(&format!("exit {code}"));
        let conmon = Conmon::of(&case);
        conmon.run(&[]);
        assert_eq!(conmon.exit(), code.to_string());
    }
}

#[test]
fn a_signal_is_in_the_exit_file() {
    let case = Case::idle();
    let conmon = Conmon::of(&case);
    conmon.run(&[]);
    case.kill("KILL").code(0);
    assert_eq!(conmon.exit(), "137");
}

#[test]
fn a_signal_from_inside_is_in_the_exit_file() {
    let mut case = Case::sh("kill -TERM $$");
    case.without_namespace("pid");
    let conmon = Conmon::of(&case);
    conmon.run(&[]);
    assert_eq!(conmon.exit(), "143");
}

#[test]
fn the_pid_file_has_the_pid_that_conmon_waits_for() {
    let case = Case::idle();
    let conmon = Conmon::of(&case);
    conmon.run(&[]);
    let pid = std::fs::read_to_string(conmon.file("pid")).unwrap();
    assert_eq!(pid, case.pid().to_string());
    let parent = std::fs::read_to_string(conmon.file("conmon")).unwrap();
    let status = case.proc("status");
    assert!(status.contains(&format!("PPid:\t{}", parent.trim())), "{parent}: {status}");
}

#[test]
fn a_failing_create_is_told_with_the_runtimes_words() {
    let mut case = Case::new();
    case.set("/process/args", ["/no/such/program"]);
    let conmon = Conmon::of(&case);
    let (number, message) = conmon.begin(&[]);
    assert!(number < 0 || message.contains("/no/such/program"), "{number}: {message}");
    let log = std::fs::read_to_string(case.path("runtime.log")).unwrap();
    assert!(log.contains("/no/such/program"), "{log}");
}

#[test]
fn a_failing_create_tells_a_message_of_one_line() {
    let mut case = Case::new();
    case.set("/root/path", "nowhere");
    let conmon = Conmon::of(&case);
    let (number, message) = conmon.begin(&[]);
    assert!(number <= 0, "{number}");
    assert!(message.contains("nowhere"), "{message}");
}

#[test]
fn much_output_is_complete() {
    let case = Case::sh("seq 1 20000");
    let conmon = Conmon::of(&case);
    conmon.run(&[]);
    conmon.exit();
    conmon.ended();
    let log = conmon.log();
    assert_eq!((log.len(), log.last()), (20_000, Some(&line("stdout", "20000"))));
}

#[test]
fn output_without_a_newline_is_in_the_log() {
    let case = Case::sh("printf partial");
    let conmon = Conmon::of(&case);
    conmon.run(&[]);
    conmon.exit();
    conmon.ended();
    assert_eq!(conmon.log()[0], line("stdout", "partial"));
}

#[test]
fn output_of_a_user_that_opens_its_streams_anew_is_in_the_log() {
    let mut case = Case::sh("echo out > /dev/stdout; echo err > /dev/stderr");
    case.set("/process/user", serde_json::json!({ "uid": 1000, "gid": 1000 }));
    let conmon = Conmon::of(&case);
    conmon.run(&[]);
    assert_eq!(conmon.exit(), "0");
    conmon.ended();
    let mut log = conmon.log();
    log.sort();
    assert_eq!(log, [line("stderr", "err"), line("stdout", "out")]);
}

#[test]
fn the_program_has_no_terminal_and_no_input() {
    let case = Case::sh("cat; [ -t 1 ] && echo terminal || echo none");
    let conmon = Conmon::of(&case);
    conmon.run(&[]);
    conmon.exit();
    conmon.ended();
    assert_eq!(conmon.log(), [line("stdout", "none")]);
}

#[test]
fn output_at_a_terminal_is_in_the_log() {
    let mut case = Case::sh("tty; [ -t 0 ] && echo terminal");
    case.set("/process/terminal", true);
    let conmon = Conmon::of(&case);
    conmon.run(&["--terminal"]);
    assert_eq!(conmon.exit(), "0");
    conmon.ended();
    assert_eq!(conmon.log(), [line("stdout", "/dev/pts/0"), line("stdout", "terminal")]);
}

#[test]
fn the_exit_code_at_a_terminal_is_in_the_exit_file() {
    let mut case = Case::sh("exit 12");
    case.set("/process/terminal", true);
    let conmon = Conmon::of(&case);
    conmon.run(&["--terminal"]);
    assert_eq!(conmon.exit(), "12");
}

#[test]
fn a_process_that_outlives_the_first_in_the_host_pid_namespace_does_not_keep_the_exit() {
    let mut case = Case::sh("sleep 992 < /dev/null > /dev/null 2>&1 & exit 3");
    case.without_namespace("pid");
    let conmon = Conmon::of(&case);
    conmon.run(&[]);
    assert_eq!(conmon.exit(), "3");
}

#[test]
fn the_exit_command_runs_after_the_end() {
    let case = Case::sh("exit 5");
    let conmon = Conmon::of(&case);
    let mark = case.path("mark");
    conmon.run(&["--exit-command", "/usr/bin/touch", "--exit-command-arg", &mark]);
    conmon.exit();
    within(10, "the mark", || std::path::Path::new(&mark).exists().then_some(()));
}

#[test]
fn the_exit_command_may_delete_the_container() {
    let case = Case::sh("exit 5");
    let conmon = Conmon::of(&case);
    let runtime = conmon.runtime();
    let root = format!("--root={}", case.state_folder().display());
    let words = [
        "--exit-command",
        runtime.to_str().unwrap(),
        "--exit-command-arg",
        &root,
        "--exit-command-arg",
        "delete",
        "--exit-command-arg",
        case.id(),
    ];
    conmon.run(&words);
    conmon.exit();
    within(10, "it is deleted", || (case.status() == "none").then_some(()));
}

#[test]
fn a_time_out_ends_the_container() {
    let case = Case::idle();
    let conmon = Conmon::of(&case);
    conmon.run(&["--timeout", "1"]);
    // conmon's own number for it.
    assert_eq!(conmon.exit(), "-1");
    case.becomes("stopped");
}

#[test]
fn a_container_that_is_never_started_can_be_deleted() {
    let case = Case::idle();
    let conmon = Conmon::of(&case);
    let (pid, _) = conmon.begin(&[]);
    assert!(pid > 0);
    case.delete_force().code(0);
    conmon.exit();
    case.nothing_left();
}

#[test]
fn a_container_outlives_a_killed_supervisor() {
    let case = Case::idle();
    let conmon = Conmon::of(&case);
    conmon.run(&[]);
    let pid = std::fs::read_to_string(conmon.file("conmon")).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    conmon.ended();
    assert_eq!(case.status(), "running");
    case.exec(&["true"]).code(0);
}

#[test]
fn no_new_keyring_is_passed_on() {
    let mut case = Case::sh("cat /proc/keys");
    case.unset("/linux/maskedPaths");
    let conmon = Conmon::of(&case);
    conmon.run(&["--no-new-keyring"]);
    conmon.exit();
    conmon.ended();
    assert!(conmon.log().iter().all(|(_, text)| !text.contains(case.id())), "{:?}", conmon.log());
}

#[test]
fn no_pivot_is_passed_on() {
    let case = Case::sh("echo ran; ls /");
    let conmon = Conmon::of(&case);
    conmon.run(&["--no-pivot"]);
    assert_eq!(conmon.exit(), "0");
    conmon.ended();
    assert_eq!(conmon.log()[0], line("stdout", "ran"));
}

#[test]
fn the_log_of_the_runtime_is_json() {
    let mut case = Case::new();
    case.set("/process/args", ["/no/such/program"]);
    Conmon::of(&case).begin(&[]);
    let log = std::fs::read_to_string(case.path("runtime.log")).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "error", "{log}");
}
