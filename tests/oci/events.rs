//! `events`: numbers about a container, and the end of its memory.

use crate::support::{Case, Value, cgroup_v2, within};
use std::process::Stdio;

/// One line of numbers.
#[track_caller]
fn stats(case: &Case) -> Value {
    let said = case.call(&["events", "--stats", case.id()]).ok();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("no JSON ({error}): {said}"))
}

fn running() -> Case {
    let case = Case::idle();
    case.detached();
    case
}

#[test]
fn numbers_are_one_line_of_their_type() {
    let case = running();
    let said = case.call(&["events", "--stats", case.id()]).ok();
    assert_eq!(said.lines().count(), 1, "{said}");
    let value = stats(&case);
    assert_eq!((&value["type"], &value["id"]), (&Value::from("stats"), &Value::from(case.id())), "{value}");
}

macro_rules! numbers {
    ($($name:ident: $pointer:literal;)*) => {
        $(#[test]
        fn $name() {
            let case = running();
            let value = stats(&case);
            let number = value.pointer(concat!("/data/", $pointer)).and_then(Value::as_u64);
            assert!(number.is_some_and(|number| number > 0), "{} in {value}", $pointer);
        })*
    };
}

numbers! {
    processor_time: "cpu/usage/total";
    memory_in_use: "memory/usage/usage";
    the_limit_of_memory: "memory/usage/limit";
    processes: "pids/current";
}

#[test]
fn limits_are_shown() {
    let mut case = Case::idle();
    case.set("/linux/resources/memory/limit", 67_108_864).set("/linux/resources/pids/limit", 33);
    case.detached();
    let value = stats(&case);
    assert_eq!(value["data"]["memory"]["usage"]["limit"], 67_108_864, "{value}");
    assert_eq!(value["data"]["pids"]["limit"], 33, "{value}");
}

#[test]
fn processes_are_counted() {
    let case = Case::sh("sleep 1000 & sleep 1000 & wait");
    case.detached();
    within(10, "three processes", || (stats(&case)["data"]["pids"]["current"] == 3).then_some(()));
}

#[test]
fn raw_numbers_of_memory_are_there() {
    let value = stats(&running());
    let raw = value["data"]["memory"]["raw"].as_object().unwrap_or_else(|| panic!("{value}"));
    assert!(raw.keys().any(|key| key.contains("file") || key.contains("cache")), "{value}");
}

#[test]
fn processor_time_has_its_parts() {
    let value = stats(&running());
    let usage = value["data"]["cpu"]["usage"].as_object().unwrap();
    assert!(usage.contains_key("kernel") && usage.contains_key("user"), "{value}");
}

#[test]
fn throttling_is_there() {
    let value = stats(&running());
    assert!(value["data"]["cpu"]["throttling"].is_object(), "{value}");
}

#[test]
fn numbers_grow() {
    let case = Case::sh("while :; do :; done");
    case.detached();
    let total = |case: &Case| stats(case)["data"]["cpu"]["usage"]["total"].as_u64().unwrap();
    let before = total(&case);
    within(5, "more processor time", || (total(&case) > before).then_some(()));
}

#[test]
fn a_stopped_container_has_no_numbers() {
    let case = Case::new();
    case.create().code(0);
    case.start().code(0);
    case.becomes("stopped");
    case.call(&["events", "--stats", case.id()]).failed();
}

#[test]
fn a_paused_container_has_numbers() {
    let case = running();
    case.call(&["pause", case.id()]).code(0);
    assert_eq!(stats(&case)["type"], "stats");
}

/// Follows the events of a container into a file until the container has ended; gives the lines.
#[track_caller]
fn followed(case: &Case, options: &[&str], during: impl FnOnce(&dyn Fn() -> String)) -> Vec<Value> {
    let path = case.base().join("events");
    let mut command = case.command(&[&["events"], options, &[case.id()]].concat());
    command.stdout(std::fs::File::create(&path).unwrap()).stderr(Stdio::null());
    let mut child = case.spawn(command);
    let read = || std::fs::read_to_string(&path).unwrap();
    during(&read);
    case.reap(&mut child);
    read().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_interval_gives_numbers_again_and_again_until_the_end() {
    let case = running();
    let lines = followed(&case, &["--interval", "100ms"], |read| {
        within(10, "three lines", || (read().lines().count() >= 3).then_some(()));
        case.delete_force().code(0);
    });
    assert!(lines.iter().all(|line| line["type"] == "stats" && line["id"] == case.id()), "{lines:?}");
}

#[test]
fn it_ends_with_the_container() {
    let case = running();
    let lines = followed(&case, &["--interval", "1h"], |_| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        case.delete_force().code(0);
    });
    assert!(lines.len() <= 1, "{lines:?}");
}

#[test]
fn an_interval_of_nothing_is_refused() {
    let case = running();
    case.call(&["events", "--interval", "0s", case.id()]).failed();
}

#[test]
fn an_interval_that_is_no_time_is_refused() {
    let case = running();
    case.call(&["events", "--interval", "soon", case.id()]).failed();
}

#[test]
fn the_end_of_memory_is_told() {
    // The first process lives on, so that there is somebody to tell it of.
    let mut case =
        Case::sh("while ! [ -e /go ]; do sleep 0.05; done; tail -c 100000000 /dev/zero; sleep 1000");
    case.set("/linux/resources/memory/limit", 33_554_432).set("/linux/resources/memory/swap", 33_554_432);
    case.detached();
    let lines = followed(&case, &["--interval", "1h"], |read| {
        std::thread::sleep(std::time::Duration::from_millis(300));
        std::fs::write(case.rootfs("go"), "").unwrap();
        within(15, "the end of memory", || read().contains("\"oom\"").then_some(()));
        case.delete_force().code(0);
    });
    let told = lines.iter().find(|line| line["type"] == "oom").unwrap();
    assert_eq!(told["id"], case.id());
}

#[test]
fn huge_pages_and_disks_have_their_place() {
    let value = stats(&running());
    let data = value["data"].as_object().unwrap();
    assert!(data.contains_key("blkio") && (cgroup_v2() || data.contains_key("hugetlb")), "{value}");
}
