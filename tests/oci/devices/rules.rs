//! Rules for devices: what may be opened, whatever its mode says.

use crate::support::{Case, Value, cgroup_v2, json};

/// `allow c 10:229 rw`: a rule as the configuration has it; `*` for any number.
fn rule(text: &str) -> Value {
    let [verb, kind, numbers, access] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
    let mut rule = json!({ "allow": verb == "allow", "type": kind, "access": access });
    let (major, minor) = numbers.split_once(':').unwrap();
    for (name, number) in [("major", major), ("minor", minor)] {
        if let Ok(number) = number.parse::<i64>() {
            rule[name] = number.into();
        }
    }
    rule
}

/// Three devices that no container has by itself, and how each is tried: `f` and `k` are fuse and kvm, `l` a loop.
const DEVICES: [(&str, &str, u32, u32); 3] = [("f", "c", 10, 229), ("k", "c", 10, 232), ("l", "b", 7, 7)];

/// Opens a device as asked. Only the rules refuse with these words: a missing driver has others.
fn attempt(device: &str, mode: &str) -> String {
    let sign = match mode {
        "r" => "<",
        "w" => ">",
        _ => "<>",
    };
    format!("(: {sign} /dev/{device}) 2>&1 | grep -q 'not permitted' && echo no || echo yes;")
}

/// Tries `f:r`, `l:w`, … under rules; gives `yes` or `no` for each.
#[track_caller]
fn tried(rules: &[&str], attempts: &str) -> String {
    let script: String = attempts
        .split(' ')
        .map(|one| one.split_once(':').unwrap())
        .map(|(device, mode)| attempt(device, mode))
        .collect();
    let mut case = Case::sh(&script);
    for (name, kind, major, minor) in DEVICES {
        let device = json!({ "path": format!("/dev/{name}"), "type": kind, "major": major, "minor": minor, "fileMode": 438 });
        case.set("/linux/devices/-", device);
    }
    case.set("/linux/resources/devices", rules.iter().map(|text| rule(text)).collect::<Vec<_>>());
    case.run().ok().replace('\n', " ")
}

macro_rules! rules {
    ($($name:ident: $rules:expr, $attempts:literal => $expected:literal;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(tried(&$rules, $attempts), $expected);
        })*
    };
}

const NONE: &str = "deny a *:* rwm";

rules! {
    nothing_is_allowed_that_is_not_named: [NONE], "f:r f:w l:r" => "no no no";
    one_device: [NONE, "allow c 10:229 rw"], "f:r f:w f:rw k:r l:r" => "yes yes yes no no";
    reading_alone: [NONE, "allow c 10:229 r"], "f:r f:w f:rw" => "yes no no";
    writing_alone: [NONE, "allow c 10:229 w"], "f:r f:w f:rw" => "no yes no";
    making_is_not_opening: [NONE, "allow c 10:229 m"], "f:r f:w" => "no no";
    reading_and_writing_by_two_rules: [NONE, "allow c 10:229 r", "allow c 10:229 w"], "f:r f:w f:rw" => "yes yes yes";
    any_minor: [NONE, "allow c 10:* rw"], "f:r k:r l:r" => "yes yes no";
    any_block_device: [NONE, "allow b *:* rw"], "f:r l:r" => "no yes";
    any_character_device: [NONE, "allow c *:* rw"], "f:r k:r l:r" => "yes yes no";
    all_devices: [NONE, "allow a *:* rwm"], "f:rw k:rw l:rw" => "yes yes yes";
    all_but_one: [NONE, "allow a *:* rwm", "deny c 10:229 rwm"], "f:r k:r l:r" => "no yes yes";
    all_but_writing_one: [NONE, "allow a *:* rwm", "deny c 10:229 w"], "f:r f:w k:w" => "yes no yes";
    the_last_rule_holds: [NONE, "allow c 10:229 rw", "deny c 10:229 rw"], "f:r" => "no";
    an_earlier_rule_does_not: [NONE, "deny c 10:229 rw", "allow c 10:229 rw"], "f:r" => "yes";
    all_is_denied_again: ["allow a *:* rwm", NONE], "f:r l:r" => "no no";
    the_kind_matters: [NONE, "allow b 10:229 rw"], "f:r" => "no";
    a_part_is_taken_back: [NONE, "allow c 10:229 rw", "deny c 10:229 w"], "f:r f:w" => "yes no";
    two_devices_apart: [NONE, "allow c 10:229 r", "allow b 7:7 rw"], "f:r f:w k:r l:rw" => "yes no no yes";
    one_minor_of_many: [NONE, "allow b 7:6 rw"], "l:r" => "no";
    a_major_without_minors_named: [NONE, "allow b 7:* r"], "l:r l:w" => "yes no";
}

#[test]
fn the_default_devices_need_no_rule() {
    let mut case =
        Case::sh("for name in null zero full random urandom; do : < /dev/$name && echo $name; done");
    case.set("/linux/resources/devices", json!([rule(NONE)]));
    assert_eq!(case.run().ok().split('\n').count(), 5);
}

#[test]
fn terminals_need_no_rule() {
    let mut case = Case::sh(": <> /dev/ptmx && echo fine");
    case.set("/linux/resources/devices", json!([rule(NONE)]));
    assert_eq!(case.run().ok(), "fine");
}

#[test]
fn nodes_may_be_made_but_not_opened() {
    let mut case =
        Case::sh("mknod /tmp/x c 10 229 && (: < /tmp/x) 2>&1 | grep -q 'not permitted' && echo closed");
    for set in ["bounding", "effective", "permitted"] {
        case.set(&format!("/process/capabilities/{set}/-"), "CAP_MKNOD");
    }
    assert_eq!(case.run().ok(), "closed");
}

#[test]
fn exec_is_under_the_same_rules() {
    let mut case = Case::idle();
    case.set(
        "/linux/devices/-",
        json!({ "path": "/dev/f", "type": "c", "major": 10, "minor": 229, "fileMode": 438 }),
    );
    case.detached();
    assert_eq!(case.exec_sh(&attempt("f", "r")).ok(), "no");
}

#[test]
fn an_update_of_something_else_leaves_the_rules() {
    let mut case = Case::idle();
    case.set(
        "/linux/devices/-",
        json!({ "path": "/dev/f", "type": "c", "major": 10, "minor": 229, "fileMode": 438 }),
    );
    case.set(
        "/linux/devices/-",
        json!({ "path": "/dev/k", "type": "c", "major": 10, "minor": 232, "fileMode": 438 }),
    );
    case.set("/linux/resources/devices/-", rule("allow c 10:229 rw"));
    case.detached();
    case.call(&["update", "--pids-limit", "50", case.id()]).code(0);
    assert_eq!(case.exec_sh(&format!("{}{}", attempt("f", "r"), attempt("k", "r"))).ok(), "yes\nno");
}

#[test]
fn without_resources_the_defaults_hold() {
    let mut case = Case::sh(": < /dev/null && : <> /dev/ptmx && echo fine");
    case.unset("/linux/resources");
    assert_eq!(case.run().ok(), "fine");
}

#[test]
fn the_kernels_list_has_the_rules() {
    let mut case = Case::idle();
    if cgroup_v2() {
        crate::support::skip!("cgroup v2 keeps rules in a program, not in a list");
    }
    case.set(
        "/linux/resources/devices",
        json!([rule(NONE), rule("allow c 10:229 rw"), rule("allow b 7:* r")]),
    );
    case.detached();
    let list = case.cgroup_file("devices", "devices.list").unwrap();
    for line in ["c 10:229 rw", "b 7:* r", "c 1:3 rwm", "c 136:* rwm", "c *:* m", "b *:* m"] {
        assert!(list.lines().any(|own| own == line), "{line:?} is not in:\n{list}");
    }
    assert!(!list.contains("a *:*"), "{list}");
}

macro_rules! refused {
    ($($name:ident: $rule:tt;)*) => {
        $(#[test]
        fn $name() {
            let mut case = Case::new();
            case.set("/linux/resources/devices/-", json!($rule));
            case.create().failed();
            case.nothing_left();
        })*
    };
}

refused! {
    a_rule_of_an_unknown_kind_is_refused: { "allow": true, "type": "x", "major": 1, "minor": 1, "access": "r" };
    a_rule_of_an_unknown_access_is_refused: { "allow": true, "type": "c", "major": 1, "minor": 1, "access": "z" };
}
