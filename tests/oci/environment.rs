//! The program's environment, its words and its working directory.

use crate::support::Case;
use std::os::unix::fs::PermissionsExt as _;

/// Output of a script with these variables added.
#[track_caller]
fn with(variables: &[&str], script: &str) -> String {
    let mut case = Case::sh(script);
    for variable in variables {
        case.set("/process/env/-", *variable);
    }
    case.run().ok()
}

#[test]
fn variables_are_the_configurations_alone() {
    let mut case = Case::new();
    case.set("/process/args", ["/bin/env"]).set("/process/env", ["A=1", "B=two words", "HOME=/h"]);
    let said = case.run().ok();
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A=1", "B=two words", "HOME=/h"]);
}

#[test]
fn a_value_may_be_empty_or_have_an_equals_sign() {
    assert_eq!(with(&["E=", "F=a=b"], "echo [$E] [$F]"), "[] [a=b]");
}

#[test]
fn a_value_may_have_a_newline() {
    assert_eq!(with(&["N=one\ntwo"], "echo \"$N\""), "one\ntwo");
}

#[test]
fn the_last_of_two_wins_and_stands_alone() {
    assert_eq!(with(&["D=first", "D=second"], "env | grep ^D="), "D=second");
}

#[test]
fn no_environment_at_all_is_fine() {
    let mut case = Case::new();
    case.unset("/process/env").set("/process/args", ["/bin/echo", "fine"]);
    assert_eq!(case.run().ok(), "fine");
}

#[test]
fn home_comes_from_the_users_of_the_root() {
    assert_eq!(with(&[], "echo $HOME"), "/root");
}

#[test]
fn home_is_that_of_the_user() {
    let mut case = Case::sh("echo $HOME");
    case.set("/process/user/uid", 1000);
    assert_eq!(case.run().ok(), "/home/ann");
}

#[test]
fn an_empty_home_is_replaced() {
    assert_eq!(with(&["HOME="], "echo $HOME"), "/root");
}

#[test]
fn a_given_home_stays() {
    assert_eq!(with(&["HOME=/elsewhere"], "echo $HOME"), "/elsewhere");
}

#[test]
fn home_of_an_unknown_user_is_the_root() {
    let mut case = Case::sh("echo $HOME");
    case.set("/process/user/uid", 4242);
    assert_eq!(case.run().ok(), "/");
}

#[test]
fn home_without_a_file_of_users_is_the_root() {
    let case = Case::sh("echo $HOME");
    std::fs::remove_file(case.rootfs("etc/passwd")).unwrap();
    assert_eq!(case.run().ok(), "/");
}

#[test]
fn a_hostile_file_of_users_does_no_harm() {
    for text in [
        "root:x:0:0\n\n::::::\nroot",
        "\0\0\0",
        "root:x:99999999999999999999:0::/evil:\nroot:x:0:0:root:/root:/bin/sh\n",
    ] {
        let case = Case::sh("echo $HOME");
        std::fs::write(case.rootfs("etc/passwd"), text).unwrap();
        let home = case.run().ok();
        assert!(["", "/", "/root"].contains(&home.as_str()), "{text:?}: {home}");
    }
}

#[test]
fn home_in_exec_is_that_of_its_user() {
    let case = Case::idle();
    case.detached();
    assert_eq!(case.exec_with(&["--user", "1001:100"], &["sh", "-c", "echo $HOME"]).ok(), "/home/bob");
}

#[test]
fn a_program_is_looked_up_in_the_path_of_the_environment() {
    let mut case = Case::new();
    std::fs::create_dir(case.rootfs("mine")).unwrap();
    std::fs::write(case.rootfs("mine/tool"), "#!/bin/sh\necho $0 $1\n").unwrap();
    std::fs::set_permissions(case.rootfs("mine/tool"), std::fs::Permissions::from_mode(0o755)).unwrap();
    case.set("/process/args", ["tool", "word"]).set("/process/env", ["PATH=/nowhere:/mine:/bin"]);
    assert_eq!(case.run().ok(), "/mine/tool word");
}

#[test]
fn the_first_word_stays_as_given() {
    let mut case = Case::new();
    case.set(
        "/process/args",
        ["sh", "-c", "tr '\\0' ' ' < /proc/self/cmdline; cat /proc/1/cmdline | tr '\\0' ' '"],
    );
    let said = case.run().ok();
    assert!(said.contains("sh -c"), "{said}");
    assert!(!said.contains("/bin/sh -c"), "{said}");
}

#[test]
fn a_program_by_relative_path_is_relative_to_the_working_directory() {
    let mut case = Case::new();
    case.set("/process/args", ["./echo", "relative"]).set("/process/cwd", "/bin");
    // busybox knows itself by the last part of its name.
    assert_eq!(case.run().ok(), "relative");
}

#[test]
fn a_word_may_be_empty() {
    let mut case = Case::new();
    case.set("/process/args", ["sh", "-c", "echo $#", "name", "", ""]);
    assert_eq!(case.run().ok(), "2");
}

#[test]
fn words_may_be_long() {
    let long = "x".repeat(100_000);
    let mut case = Case::new();
    case.set("/process/args", ["sh", "-c", "echo ${#1}", "name", &long]);
    assert_eq!(case.run().ok(), "100000");
}

#[test]
fn there_may_be_many_variables() {
    let mut case = Case::sh("env | grep -c ^VARIABLE_");
    for number in 0..500 {
        case.set("/process/env/-", format!("VARIABLE_{number}=value {number}"));
    }
    assert_eq!(case.run().ok(), "500");
}

#[test]
fn the_working_directory_is_entered() {
    let mut case = Case::sh("pwd; echo $PWD");
    case.set("/process/cwd", "/home/ann");
    assert_eq!(case.run().ok(), "/home/ann\n/home/ann");
}

#[test]
fn a_missing_working_directory_is_made() {
    let mut case = Case::sh("pwd");
    case.set("/process/cwd", "/new/deep/folder");
    assert_eq!(case.run().ok(), "/new/deep/folder");
}

#[test]
fn a_working_directory_may_be_a_mount() {
    let mut case = Case::sh("pwd; touch here");
    std::fs::create_dir(case.base().join("work")).unwrap();
    let source = case.path("work");
    case.mount("/work", "bind", &source, &["rbind"]).set("/process/cwd", "/work");
    assert_eq!(case.run().ok(), "/work");
    assert!(case.base().join("work/here").exists());
}

#[test]
fn a_working_directory_that_is_a_file_is_an_error() {
    let mut case = Case::new();
    case.set("/process/cwd", "/etc/passwd");
    case.run().failed();
    case.nothing_left();
}

#[test]
fn an_empty_working_directory_is_refused() {
    let mut case = Case::new();
    case.set("/process/cwd", "");
    case.run().failed();
    case.nothing_left();
}

#[test]
fn a_working_directory_that_only_root_may_enter_is_fine() {
    let mut case = Case::sh("echo in");
    std::fs::create_dir(case.rootfs("private")).unwrap();
    std::fs::set_permissions(case.rootfs("private"), std::fs::Permissions::from_mode(0o700)).unwrap();
    case.set("/process/cwd", "/private")
        .set("/process/user", serde_json::json!({ "uid": 1000, "gid": 1000 }));
    assert_eq!(case.run().ok(), "in");
}

#[test]
fn a_working_directory_that_only_the_user_may_enter_is_fine() {
    let mut case = Case::sh("pwd");
    case.user_namespace();
    let folder = case.rootfs("mine");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(101_000), Some(101_000)).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    case.set("/process/cwd", "/mine").set("/process/user", serde_json::json!({ "uid": 1000, "gid": 1000 }));
    assert_eq!(case.run().ok(), "/mine");
}

#[test]
fn a_working_directory_without_any_right_in_exec_falls_back_to_the_users_own() {
    let case = Case::idle();
    let folder = case.rootfs("mine");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(1000), Some(1000)).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    case.detached();
    assert_eq!(case.exec_with(&["--user", "1000:1000", "--cwd", "/mine"], &["pwd"]).ok(), "/mine");
}
