//! Errors and logs: where they go and how they look.

use crate::support::{Case, Value};

fn log(case: &Case) -> String {
    std::fs::read_to_string(case.base().join("log")).unwrap_or_default()
}

#[test]
fn an_error_is_one_line_on_standard_error() {
    let case = Case::new();
    let said = case.call(&["start", "nobody"]).failed();
    assert_eq!(said.out, "", "{said}");
    assert_eq!(said.err.lines().count(), 1, "{said}");
}

#[test]
fn an_error_goes_to_the_log_file_too() {
    let case = Case::new();
    case.call(&["--log", &case.path("log"), "start", "nobody"]).failed();
    let log = log(&case);
    assert!(log.contains("does not exist"), "{log}");
}

#[test]
fn the_text_format_has_time_level_and_message() {
    let case = Case::new();
    case.call(&["--log", &case.path("log"), "--log-format", "text", "start", "nobody"]).failed();
    let log = log(&case);
    let line = log.lines().last().unwrap_or_default();
    assert!(line.starts_with("time=\"") && line.contains(" level=error msg=\""), "{log}");
}

#[test]
fn the_json_format_has_level_message_and_time() {
    let case = Case::new();
    case.call(&["--log", &case.path("log"), "--log-format", "json", "start", "nobody"]).failed();
    let log = log(&case);
    let line: Value = serde_json::from_str(log.lines().last().unwrap_or_default()).expect("a line of JSON");
    assert_eq!(line["level"], "error", "{log}");
    assert!(line["msg"].as_str().is_some_and(|text| text.contains("does not exist")), "{log}");
    assert!(line["time"].as_str().is_some_and(|time| time.contains('T')), "{log}");
}

#[test]
fn every_line_of_the_json_log_is_json() {
    let case = Case::idle();
    case.write();
    let options = ["--debug", "--log", &case.path("log"), "--log-format", "json"];
    case.call(&[&options[..], &["run", "--detach", "--bundle", &case.path("bundle"), case.id()]].concat())
        .code(0);
    for line in log(&case).lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_string() && line["msg"].is_string(), "{line}");
    }
}

#[test]
fn a_log_is_appended_to() {
    let case = Case::new();
    std::fs::write(case.base().join("log"), "before\n").unwrap();
    case.call(&["--log", &case.path("log"), "start", "nobody"]).failed();
    let log = log(&case);
    assert!(log.starts_with("before\n") && log.lines().count() > 1, "{log}");
}

#[test]
fn an_unknown_format_is_refused() {
    let case = Case::new();
    case.call(&["--log", &case.path("log"), "--log-format", "xml", "list"]).failed().complains("xml");
}

#[test]
fn a_log_that_cannot_be_opened_is_an_error() {
    let case = Case::idle();
    case.write();
    let bundle = case.path("bundle");
    case.call(&["--log", "/no/such/folder/log", "create", "--bundle", &bundle, case.id()]).failed();
    case.nothing_left();
}

#[test]
fn debug_output_goes_to_the_log_file_when_there_is_one() {
    let case = Case::idle();
    case.write();
    let words =
        ["--debug", "--log", &case.path("log"), "create", "--bundle", &case.path("bundle"), case.id()];
    let said = case.call(&words).code(0);
    assert!(!said.err.contains("level=debug"), "{said}");
    assert!(log(&case).contains("level=debug"), "{}", log(&case));
}

#[test]
fn without_debug_a_good_call_logs_nothing() {
    let case = Case::idle();
    case.write();
    let words = ["--log", &case.path("log"), "run", "--detach", "--bundle", &case.path("bundle"), case.id()];
    let said = case.call(&words).code(0);
    assert_eq!(log(&case), "");
    assert_eq!(said.err, "", "{said}");
}

#[test]
fn a_failing_create_tells_the_log_why() {
    let mut case = Case::new();
    case.set("/process/args", ["/no/such/program"]).write();
    let words = [
        "--log",
        &case.path("log"),
        "--log-format",
        "json",
        "create",
        "--bundle",
        &case.path("bundle"),
        case.id(),
    ];
    case.call(&words).failed();
    assert!(log(&case).contains("/no/such/program"), "{}", log(&case));
    case.nothing_left();
}

#[test]
fn a_failing_exec_tells_the_log_why() {
    let case = Case::idle();
    case.detached();
    case.call(&["--log", &case.path("log"), "--log-format", "json", "exec", case.id(), "/no/such/program"])
        .failed();
    let log = log(&case);
    let line: Value = serde_json::from_str(log.lines().last().unwrap_or_default()).expect("a line of JSON");
    assert!(line["msg"].as_str().is_some_and(|text| text.contains("/no/such/program")), "{log}");
}

#[test]
fn exec_failed_stands_in_the_words_of_a_failing_exec() {
    let case = Case::idle();
    case.detached();
    let said = case.exec(&["/no/such/program"]).code(255);
    assert!(said.err.contains("exec failed"), "{said}");
    assert!(said.err.contains("no such file or directory"), "{said}");
}

#[test]
fn a_missing_program_is_named_with_its_reason() {
    let mut case = Case::new();
    case.set("/process/args", ["nosuchprogram"]);
    let said = case.create().failed();
    assert!(said.err.contains("nosuchprogram"), "{said}");
    assert!(said.err.contains("not found"), "{said}");
    case.nothing_left();
}

#[test]
fn a_program_that_may_not_be_executed_is_named_with_its_reason() {
    let mut case = Case::new();
    std::fs::write(case.rootfs("data"), "no program").unwrap();
    case.set("/process/args", ["/data"]);
    let said = case.create().failed();
    assert!(said.err.to_lowercase().contains("permission denied"), "{said}");
    case.nothing_left();
}

#[test]
fn a_folder_is_no_program() {
    let mut case = Case::new();
    case.set("/process/args", ["/etc"]);
    case.create().failed();
    case.nothing_left();
}

#[test]
fn a_script_without_its_interpreter_is_one_clear_line() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut case = Case::new();
    std::fs::write(case.rootfs("run.sh"), "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(case.rootfs("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    case.set("/process/args", ["/run.sh"]);
    case.create().code(0);
    let said = case.start();
    let text = format!("{}{}", said.err, std::fs::read_to_string(case.base().join("0.err")).unwrap());
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert!(lines[0].ends_with("exec /run.sh: no such file or directory"), "{text}");
}

#[test]
fn escape_sequences_of_a_terminal_do_not_come_through_an_error() {
    let mut case = Case::new();
    case.set("/process/args", ["/no\u{1b}[31msuch\u{7}"]);
    let said = case.create().failed();
    assert!(!said.err.contains('\u{1b}') && !said.err.contains('\u{7}'), "{:?}", said.err);
}

#[test]
fn a_newline_in_a_name_does_not_make_a_second_line() {
    let mut case = Case::new();
    case.set("/process/args", ["/no\nlevel=info msg=fine"]);
    let said = case.create().failed();
    assert!(!said.err.lines().any(|line| line.starts_with("level=info")), "{said}");
}

#[test]
fn a_failing_run_ends_with_one_for_what_is_the_runtimes_fault() {
    let mut case = Case::new();
    case.set("/root/path", "no-such-root");
    let said = case.run().failed();
    assert!(said.err.contains("no-such-root"), "{said}");
    case.nothing_left();
}

#[test]
fn the_exit_code_of_other_failures_is_one() {
    let case = Case::idle();
    for words in [
        vec!["state", "nobody"],
        vec!["start", "nobody"],
        vec!["kill", "nobody", "TERM"],
        vec!["delete", "nobody"],
    ] {
        case.call(&words).code(1);
    }
}
