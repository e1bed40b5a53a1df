//! `list`, `ps` and `state`: what runs, for people and for programs.

use crate::support::{Case, Value, remove_group, within};

#[test]
fn the_table_has_its_six_columns() {
    let case = Case::idle();
    case.create().code(0);
    let said = case.call(&["list"]).code(0);
    let mut lines = said.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(lines.next().unwrap(), ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"], "{said}");
    let row = lines.next().unwrap();
    let pid = case.pid().to_string();
    assert_eq!(row[..4], [case.id(), &pid, "created", &case.path("bundle")], "{said}");
    assert_eq!(row[5], "root", "{said}");
}

#[test]
fn an_empty_table_is_its_head_alone() {
    let case = Case::new();
    std::fs::create_dir(case.state_folder()).unwrap();
    assert_eq!(case.call(&["list"]).code(0).out.lines().count(), 1);
    assert_eq!(case.call(&["list", "-q"]).code(0).out, "");
}

#[test]
fn quiet_gives_ids_alone() {
    for flag in ["-q", "--quiet"] {
        let case = Case::idle();
        case.create().code(0);
        assert_eq!(case.call(&["list", flag]).code(0).out, format!("{}\n", case.id()));
    }
}

#[test]
fn json_is_one_list_of_containers() {
    for words in [&["list", "-f", "json"], &["list", "--format", "json"]] {
        let case = Case::idle();
        case.detached();
        let said = case.call(words).code(0);
        let list: Value = serde_json::from_str(&said.out).unwrap();
        let one = &list.as_array().unwrap()[0];
        assert_eq!(one["id"], case.id(), "{said}");
        assert_eq!(one["status"], "running");
        assert_eq!(one["bundle"], case.path("bundle"));
        assert_eq!(one["pid"], case.pid());
        assert!(
            one["created"].as_str().is_some_and(|time| time.contains('T') && time.ends_with('Z')),
            "{said}"
        );
        assert_eq!(one["owner"], "root");
    }
}

#[test]
fn json_is_one_line() {
    let case = Case::idle();
    case.create().code(0);
    assert_eq!(case.call(&["list", "-f", "json"]).ok().lines().count(), 1);
}

#[test]
fn json_of_no_container_can_be_read() {
    let case = Case::new();
    std::fs::create_dir(case.state_folder()).unwrap();
    let said = case.call(&["list", "-f", "json"]).code(0);
    let list: Value = serde_json::from_str(&said.out).unwrap();
    assert!(list.is_null() || list.as_array().is_some_and(Vec::is_empty), "{said}");
}

#[test]
fn an_unknown_format_is_refused() {
    let case = Case::idle();
    case.create().code(0);
    case.call(&["list", "--format", "yaml"]).failed();
}

#[test]
fn a_root_that_is_named_and_not_there_is_an_error() {
    let case = Case::new();
    case.call(&["list"]).failed().complains("state");
}

#[test]
fn a_stopped_container_has_no_pid_in_the_table() {
    let case = Case::new();
    case.detached();
    case.becomes("stopped");
    let said = case.call(&["list"]).code(0);
    let row: Vec<&str> = said.out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..3], [case.id(), "0", "stopped"], "{said}");
}

#[test]
fn all_containers_of_the_root_are_listed() {
    let case = Case::idle();
    case.write();
    let bundle = case.path("bundle");
    for name in ["one", "two", "three"] {
        let mut other = case.config.clone();
        other["linux"]["cgroupsPath"] = format!("{}/{name}", case.cgroup()).into();
        std::fs::write(case.bundle().join("config.json"), other.to_string()).unwrap();
        case.call(&["create", "--bundle", &bundle, name]).code(0);
    }
    let said = case.call(&["list", "-q"]).ok();
    let mut names: Vec<&str> = said.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["one", "three", "two"]);
    for name in names {
        case.call(&["delete", "--force", name]).code(0);
    }
    remove_group(&case.cgroup());
}

#[test]
fn ps_shows_the_processes_of_the_container() {
    let case = Case::sh("sleep 1000 & exec sleep 999");
    case.detached();
    within(10, "both run", || (case.call(&["ps", case.id()]).ok().lines().count() == 3).then_some(()));
    let said = case.call(&["ps", case.id()]).code(0);
    let head: Vec<&str> = said.out.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"], "{said}");
    assert!(said.out.contains("sleep 1000") && said.out.contains("sleep 999"), "{said}");
}

#[test]
fn ps_gives_pids_as_json() {
    for words in [["ps", "-f", "json"], ["ps", "--format", "json"]] {
        let case = Case::idle();
        case.detached();
        let said = case.call(&[&words[..], &[case.id()]].concat()).code(0);
        let pids: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(pids, serde_json::json!([case.pid()]), "{said}");
    }
}

#[test]
fn ps_hands_options_to_ps() {
    let case = Case::idle();
    case.detached();
    let said = case.call(&["ps", case.id(), "-e", "-x"]).code(0);
    let head: Vec<&str> = said.out.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["PID", "TTY", "STAT", "TIME", "COMMAND"], "{said}");
    assert!(said.out.lines().nth(1).is_some_and(|line| line.contains("sleep 1000")), "{said}");
    assert_eq!(said.out.lines().count(), 2, "{said}");
}

#[test]
fn ps_works_for_a_created_container() {
    let case = Case::idle();
    case.create().code(0);
    assert_eq!(case.call(&["ps", case.id()]).ok().lines().count(), 2);
}

#[test]
fn ps_of_a_stopped_container_is_empty() {
    let case = Case::new();
    case.detached();
    case.becomes("stopped");
    assert!(case.call(&["ps", case.id()]).ok().lines().count() <= 1);
}

#[test]
fn ps_counts_what_exec_started() {
    let case = Case::idle();
    case.detached();
    case.exec_with(&["--detach"], &["sleep", "998"]).code(0);
    let said = case.call(&["ps", "-f", "json", case.id()]).ok();
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap().as_array().unwrap().len(), 2);
}

#[test]
fn the_state_has_what_the_specification_asks_for() {
    let case = Case::idle();
    case.create().code(0);
    let state = case.state();
    assert!(state["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")), "{state}");
    assert_eq!(state["id"], case.id());
    assert_eq!(state["status"], "created");
    assert!(state["pid"].as_i64().is_some_and(|pid| pid > 1), "{state}");
    assert_eq!(state["bundle"], case.path("bundle"));
}

#[test]
fn the_state_names_the_root_and_the_time_of_creation() {
    let case = Case::idle();
    case.create().code(0);
    let state = case.state();
    assert_eq!(state["rootfs"], case.path("bundle/rootfs"));
    let created = state["created"].as_str().unwrap();
    assert_eq!(&created[..2], "20", "{created}");
    assert!(created.ends_with('Z'), "{created}");
}

#[test]
fn the_state_is_printed_with_one_space_after_a_colon() {
    let case = Case::idle();
    case.detached();
    let said = case.call(&["state", case.id()]).code(0);
    assert!(said.out.lines().any(|line| line.trim_start() == "\"status\": \"running\","), "{said}");
    assert!(said.out.ends_with("}\n") || said.out.ends_with('}'), "{said}");
}

#[test]
fn the_state_of_a_stopped_container_has_no_pid() {
    let case = Case::new();
    case.detached();
    case.becomes("stopped");
    let state = case.state();
    assert!(state["pid"].is_null() || state["pid"] == 0, "{state}");
}

#[test]
fn the_state_has_the_annotations() {
    let mut case = Case::idle();
    case.set("/annotations/a", "1").set("/annotations/b.c", "two");
    case.create().code(0);
    assert_eq!(case.state()["annotations"]["a"], "1");
    assert_eq!(case.state()["annotations"]["b.c"], "two");
}

#[test]
fn the_state_of_an_unknown_id_fails() {
    let case = Case::new();
    case.call(&["state", "nobody"]).failed();
}
