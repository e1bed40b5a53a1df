//! The words of the command line: help, version, flags and where they may stand.

use crate::support::{Case, runtime};

/// `CMD --help` begins as callers and people know it, and names the command.
fn help_of(command: &str) {
    let case = Case::new();
    let said = case.call(&[command, "--help"]).code(0);
    let mut lines = said.out.lines().filter(|line| !line.trim().is_empty());
    assert_eq!(lines.next().map(str::trim), Some("NAME:"), "{said}");
    assert!(lines.next().is_some_and(|line| line.contains(&format!("{command} - "))), "{said}");
}

macro_rules! help {
    ($($command:ident)*) => {
        mod help {
            $(#[test]
            fn $command() {
                super::help_of(stringify!($command));
            })*
        }
    };
}

help!(checkpoint create delete events exec features kill list pause ps restore resume run spec start state update);

#[test]
fn the_programs_help_says_what_it_is() {
    for word in ["--help", "-h", "help"] {
        let said = Case::new().call(&[word]).code(0);
        let mut lines = said.out.lines();
        assert_eq!(lines.next(), Some("NAME:"), "{said}");
        assert!(
            lines.next().is_some_and(|line| line.ends_with("- Open Container Initiative runtime")),
            "{said}"
        );
        for command in ["create", "start", "state", "delete", "kill", "exec"] {
            assert!(said.out.contains(command), "{command} is missing: {said}");
        }
    }
}

#[test]
fn an_unknown_command_is_refused() {
    let said = Case::new().call(&["foo"]).failed();
    assert!(format!("{}{}", said.out, said.err).contains("foo"), "{said}");
}

#[test]
fn an_unknown_command_has_the_words_that_callers_match() {
    let said = Case::new().call(&["foo"]);
    assert!(format!("{}{}", said.out, said.err).contains("No help topic for 'foo'"), "{said}");
}

#[test]
fn the_version_names_the_program_the_commit_and_the_specification() {
    for word in ["-v", "--version"] {
        let case = Case::new();
        let mut command = runtime().command();
        command.arg(word);
        let said = case.end(command).code(0);
        assert!(said.out.lines().next().is_some_and(|line| line.contains(" version ")), "{said}");
        let value = |key: &str| said.out.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        assert!(value("commit: ").is_some_and(|commit| !commit.is_empty()), "{said}");
        let spec = value("spec: ").unwrap_or_else(|| panic!("no spec: {said}"));
        assert!(spec.starts_with("1."), "{said}");
    }
}

#[test]
fn an_unknown_flag_of_the_program_is_refused() {
    Case::new().call(&["--no-such-flag", "list"]).failed();
}

/// A command that needs an id refuses none, and more than one.
fn needs_one_id(command: &str) {
    let case = Case::new();
    case.call(&[command]).failed();
    case.call(&[command, "--no-such-flag", case.id()]).failed();
    if !matches!(command, "kill" | "exec" | "ps") {
        case.call(&[command, "one", "two"]).failed();
    }
}

macro_rules! one_id {
    ($($command:ident)*) => {
        mod one_id {
            $(#[test]
            fn $command() {
                super::needs_one_id(stringify!($command));
            })*
        }
    };
}

one_id!(create delete exec kill pause ps resume run start state update);

#[test]
fn too_many_ids_leave_both_containers_alone() {
    let case = Case::idle();
    case.detached();
    case.call(&["kill", case.id(), "KILL", "more"]).failed();
    assert_eq!(case.status(), "running");
    case.call(&["delete", "--force", case.id(), "more"]).failed();
    assert_eq!(case.status(), "running");
}

#[test]
fn options_may_follow_the_id_of_create() {
    let case = Case::idle();
    case.write();
    let bundle = case.path("bundle");
    let pid_file = case.path("pid");
    case.call(&["create", case.id(), "--bundle", &bundle, "--pid-file", &pid_file]).code(0);
    assert_eq!(std::fs::read_to_string(pid_file).unwrap(), case.pid().to_string());
}

#[test]
fn options_may_follow_the_id_of_run() {
    let case = Case::idle();
    case.write();
    case.call(&["run", case.id(), "--detach", "--bundle", &case.path("bundle")]).code(0);
    assert_eq!(case.status(), "running");
}

#[test]
fn options_may_follow_the_id_of_delete() {
    let case = Case::idle();
    case.detached();
    case.call(&["delete", case.id(), "--force"]).code(0);
    assert_eq!(case.status(), "none");
}

#[test]
fn options_of_the_program_may_be_joined_with_an_equals_sign() {
    let case = Case::idle();
    case.detached();
    let mut command = runtime().command();
    command.args([&format!("--root={}", case.state_folder().display()), "state", case.id()]);
    case.end(command).code(0);
}

#[test]
fn what_follows_the_id_of_exec_is_the_commands() {
    let case = Case::idle();
    case.detached();
    assert_eq!(case.exec(&["echo", "-n", "--cwd", "/tmp", "-t"]).ok(), "--cwd /tmp -t");
}

#[test]
fn a_double_dash_ends_the_options() {
    let case = Case::idle();
    case.detached();
    let said = case.call(&["exec", "--", case.id(), "echo", "there"]);
    assert_eq!(said.ok(), "there");
}

#[test]
fn short_options_are_the_long_ones() {
    let case = Case::idle();
    case.write();
    case.call(&["run", "-d", "-b", &case.path("bundle"), case.id()]).code(0);
    case.call(&["delete", "-f", case.id()]).code(0);
    case.nothing_left();
}

#[test]
fn the_bundle_is_the_working_directory_unless_named() {
    let case = Case::idle();
    case.write();
    let mut command = case.command(&["create", case.id()]);
    command.current_dir(case.bundle());
    case.end(command).code(0);
    assert_eq!(case.state()["bundle"], case.path("bundle"));
}

#[test]
fn a_relative_bundle_is_made_absolute_in_the_state() {
    let case = Case::idle();
    case.write();
    let mut command = case.command(&["create", "--bundle", "bundle", case.id()]);
    command.current_dir(case.base());
    case.end(command).code(0);
    assert_eq!(case.state()["bundle"], case.path("bundle"));
}

#[test]
fn a_relative_root_works_from_where_it_is_named() {
    let case = Case::idle();
    case.write();
    let mut command = runtime().command();
    command.args(["--root", "state", "create", "--bundle", "bundle", case.id()]).current_dir(case.base());
    command.stdin(std::process::Stdio::null());
    case.end(command).code(0);
    assert_eq!(case.status(), "created");
    case.start().code(0);
    assert_eq!(case.status(), "running");
}

#[test]
fn a_bundle_that_is_not_there_is_named() {
    let case = Case::new();
    case.call(&["create", "--bundle", "/no/such/bundle", case.id()]).failed().complains("/no/such/bundle");
    case.nothing_left();
}

#[test]
fn a_bundle_without_a_configuration_is_refused() {
    let case = Case::new();
    case.call(&["create", "--bundle", &case.path("bundle"), case.id()]).failed().complains("config.json");
    case.nothing_left();
}

#[test]
fn a_configuration_that_is_no_json_is_refused() {
    let case = Case::new();
    std::fs::write(case.bundle().join("config.json"), "{\"ociVersion\": \"1.0.0\",").unwrap();
    case.call(&["create", "--bundle", &case.path("bundle"), case.id()]).failed();
    case.nothing_left();
}

#[test]
fn an_empty_configuration_is_refused() {
    let case = Case::new();
    std::fs::write(case.bundle().join("config.json"), "{}").unwrap();
    case.call(&["create", "--bundle", &case.path("bundle"), case.id()]).failed();
    case.nothing_left();
}

#[test]
fn a_newer_minor_version_of_the_specification_is_accepted() {
    let mut case = Case::sh("echo works");
    case.set("/ociVersion", "1.99.0");
    assert_eq!(case.run().ok(), "works");
}

#[test]
fn an_older_version_of_the_specification_is_accepted() {
    for version in ["1.0.0", "1.0.2-dev", "1.1.0", "1.2.1"] {
        let mut case = Case::sh("echo works");
        case.set("/ociVersion", version);
        assert_eq!(case.run().ok(), "works", "{version}");
    }
}

#[test]
fn members_that_the_specification_does_not_have_are_passed_over() {
    let mut case = Case::sh("echo works");
    case.set("/x-vendor", "1").set("/process/x-vendor", true).set("/linux/x-vendor/deep", 1);
    assert_eq!(case.run().ok(), "works");
}

#[test]
fn annotations_may_have_any_text() {
    let mut case = Case::idle();
    case.set("/annotations/org.example~1key", "value with \"quotes\" and\nlines");
    case.create().code(0);
    assert_eq!(case.state()["annotations"]["org.example/key"], "value with \"quotes\" and\nlines");
}
