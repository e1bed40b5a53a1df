//! Commands in a container that a supervisor holds.

use super::{Conmon, line};
use crate::support::{Case, Value, json, within};

/// A process file that runs a script.
fn process(case: &Case, process: Value) -> String {
    let path = case.path("exec.json");
    std::fs::write(&path, process.to_string()).unwrap();
    path
}

fn script(script: &str) -> Value {
    json!({ "user": { "uid": 0, "gid": 0 }, "args": ["sh", "-c", script], "env": ["PATH=/bin"], "cwd": "/" })
}

/// A conmon for this command; gives what it says.
#[track_caller]
fn begin(conmon: &Conmon<'_>, case: &Case, file: Value, words: &[&str]) -> (i64, String) {
    let path = process(case, file);
    conmon.begin(&[&["--exec", "--exec-process-spec", &path], words].concat())
}

fn running() -> Case {
    let case = Case::idle();
    case.detached();
    case
}

#[test]
fn output_and_exit_code_are_the_commands() {
    let case = running();
    let conmon = Conmon::named(&case, "exec");
    let (pid, message) = begin(&conmon, &case, script("echo out; exit 6"), &[]);
    assert!(pid > 0, "{message}");
    assert_eq!(conmon.exit(), "6");
    conmon.ended();
    assert_eq!(conmon.log(), [line("stdout", "out")]);
}

#[test]
fn errors_are_kept_apart() {
    let case = running();
    let conmon = Conmon::named(&case, "exec");
    begin(&conmon, &case, script("echo err >&2"), &[]);
    conmon.exit();
    conmon.ended();
    assert_eq!(conmon.log(), [line("stderr", "err")]);
}

#[test]
fn a_signal_is_in_the_exit_file() {
    let case = running();
    let conmon = Conmon::named(&case, "exec");
    begin(&conmon, &case, script("kill -KILL $$"), &[]);
    assert_eq!(conmon.exit(), "137");
}

#[test]
fn a_missing_command_is_told() {
    let case = running();
    let conmon = Conmon::named(&case, "exec");
    let mut file = script("");
    file["args"] = json!(["/no/such/command"]);
    let (number, message) = begin(&conmon, &case, file, &[]);
    assert!(number <= 0, "{number}");
    assert!(message.contains("/no/such/command"), "{message}");
}

#[test]
fn a_failing_exec_has_the_words_that_podman_looks_for() {
    let case = running();
    let conmon = Conmon::named(&case, "exec");
    let mut file = script("");
    file["args"] = json!(["nosuchcommand"]);
    let (_, message) = begin(&conmon, &case, file, &[]);
    assert!(
        message.contains("exec failed") && message.contains("executable file not found in $PATH"),
        "{message}"
    );
}

#[test]
fn a_command_with_a_terminal() {
    let case = running();
    let conmon = Conmon::named(&case, "exec");
    let mut file = script("tty; exit 2");
    file["terminal"] = true.into();
    begin(&conmon, &case, file, &["--terminal"]);
    assert_eq!(conmon.exit(), "2");
    conmon.ended();
    assert_eq!(conmon.log(), [line("stdout", "/dev/pts/0")]);
}

#[test]
fn a_command_as_a_user() {
    let case = running();
    let conmon = Conmon::named(&case, "exec");
    let mut file = script("id -u; id -G");
    file["user"] = json!({ "uid": 1000, "gid": 1000, "additionalGids": [50] });
    begin(&conmon, &case, file, &[]);
    assert_eq!(conmon.exit(), "0");
    conmon.ended();
    assert_eq!(conmon.log(), [line("stdout", "1000"), line("stdout", "1000 50")]);
}

#[test]
fn the_pid_is_that_of_the_command() {
    let case = running();
    let conmon = Conmon::named(&case, "exec");
    let (pid, _) = begin(&conmon, &case, script("exec sleep 991"), &[]);
    let words = within(10, "the command", || {
        std::fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|words| words.starts_with(b"sleep"))
    });
    assert_eq!(words, b"sleep\0991\0");
    case.kill("KILL").code(0);
    assert_eq!(conmon.exit(), "137");
}

#[test]
fn a_command_ends_with_its_container() {
    let case = running();
    let conmon = Conmon::named(&case, "exec");
    begin(&conmon, &case, script("sleep 990"), &[]);
    case.delete_force().code(0);
    assert_eq!(conmon.exit(), "137");
}

#[test]
fn several_commands_at_once() {
    let case = running();
    let conmons: Vec<Conmon<'_>> =
        (0..3).map(|number| Conmon::named(&case, &format!("exec{number}"))).collect();
    for (number, conmon) in conmons.iter().enumerate() {
        let (pid, message) = begin(conmon, &case, script(&format!("echo {number}")), &[]);
        assert!(pid > 0, "{message}");
    }
    for (number, conmon) in conmons.iter().enumerate() {
        conmon.ended();
        assert_eq!(conmon.log(), [line("stdout", &number.to_string())]);
    }
}

#[test]
fn a_command_in_a_container_that_a_supervisor_holds() {
    let case = Case::idle();
    let first = Conmon::of(&case);
    first.run(&[]);
    let second = Conmon::named(&case, "exec");
    let (pid, message) = begin(&second, &case, script("echo inside"), &[]);
    assert!(pid > 0, "{message}");
    second.ended();
    assert_eq!(second.log(), [line("stdout", "inside")]);
    assert_eq!(case.status(), "running");
}
