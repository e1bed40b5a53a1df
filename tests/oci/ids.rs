//! Ids and pid files.

use crate::support::Case;

/// Creates a container with this id; gives whether it was accepted.
fn accepted(id: &str) -> bool {
    let case = Case::idle();
    case.write();
    let said = case.call(&["create", "--bundle", &case.path("bundle"), "--", id]);
    if said.code == 0 {
        assert_eq!(case.call(&["state", id]).code, 0, "{said}");
        case.call(&["delete", "--force", id]).code(0);
    }
    case.nothing_left();
    said.code == 0
}

macro_rules! ids {
    ($($name:ident: $id:expr => $fine:expr;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(accepted($id), $fine, "{:?}", $id);
        })*
    };
}

ids! {
    letters_and_digits: "Ab9" => true;
    underscore: "a_b" => true;
    plus: "a+b" => true;
    minus: "a-b" => true;
    dot_inside: "a.b" => true;
    one_letter: "x" => true;
    sixty_four_digits: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" => true;
    empty: "" => false;
    slash: "a/b" => false;
    slash_in_front: "/a" => false;
    dot: "." => false;
    dots: ".." => false;
    climbing: "../a" => false;
    at_sign: "a@b" => false;
    space: "a b" => false;
    newline: "a\nb" => false;
    not_ascii: "ä" => false;
    colon: "a:b" => false;
}

#[test]
fn a_second_container_with_the_id_is_refused_and_the_first_left_alone() {
    let case = Case::idle();
    case.detached();
    let pid = case.pid();
    case.create().failed();
    case.run().failed();
    assert_eq!((case.status().as_str(), case.pid()), ("running", pid));
}

#[test]
fn the_refusal_says_that_it_exists() {
    let case = Case::idle();
    case.create().code(0);
    let said = case.create().failed();
    assert!(said.err.contains("exist"), "{said}");
}

#[test]
fn an_id_is_free_again_after_delete() {
    let case = Case::idle();
    for _ in 0..2 {
        case.detached();
        case.delete_force().code(0);
    }
}

#[test]
fn the_pid_file_has_the_pid_without_a_newline() {
    let case = Case::idle();
    case.create_with(&["--pid-file", &case.path("pid")]).code(0);
    assert_eq!(std::fs::read_to_string(case.base().join("pid")).unwrap(), case.pid().to_string());
}

#[test]
fn the_pid_file_of_run_is_there_while_it_runs() {
    let case = Case::idle();
    case.run_with(&["--detach", "--pid-file", &case.path("pid")]).code(0);
    assert_eq!(std::fs::read_to_string(case.base().join("pid")).unwrap(), case.pid().to_string());
}

#[test]
fn a_relative_pid_file_is_relative_to_the_caller() {
    let case = Case::idle();
    let mut command = case.bundled("create", &["--pid-file", "pid"]);
    command.current_dir(case.base());
    case.end(command).code(0);
    assert!(case.base().join("pid").is_file());
    assert!(!case.bundle().join("pid").exists());
}

#[test]
fn a_pid_file_of_an_earlier_run_is_replaced() {
    let case = Case::idle();
    std::fs::write(case.base().join("pid"), "999999999999").unwrap();
    case.create_with(&["--pid-file", &case.path("pid")]).code(0);
    assert_eq!(std::fs::read_to_string(case.base().join("pid")).unwrap(), case.pid().to_string());
}

#[test]
fn a_pid_file_that_cannot_be_written_fails_create_and_leaves_nothing() {
    let case = Case::idle();
    case.create_with(&["--pid-file", "/no/such/folder/pid"]).failed();
    case.nothing_left();
}

#[test]
fn the_pid_file_of_exec_has_the_new_process() {
    let case = Case::idle();
    case.detached();
    case.exec_with(&["--detach", "--pid-file", &case.path("pid")], &["sleep", "997"]).code(0);
    let pid = std::fs::read_to_string(case.base().join("pid")).unwrap();
    assert_ne!(pid, case.pid().to_string());
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert_eq!(words, b"sleep\0997\0");
}

#[test]
fn a_pid_file_of_exec_that_cannot_be_written_is_255() {
    let case = Case::idle();
    case.detached();
    case.exec_with(&["--pid-file", "/no/such/folder/pid"], &["true"]).code(255);
}

#[test]
fn hostname_is_the_configurations() {
    let mut case = Case::sh("hostname");
    case.set("/hostname", "some-name.example");
    assert_eq!(case.run().ok(), "some-name.example");
}
