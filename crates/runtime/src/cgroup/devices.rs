//! Which devices a container may use: lines for the version 1 controller (kernel: admin-guide/cgroup-v1/devices.rst), a
//! program for version 2.

use crate::error::invalid;
use sampan_sys::bpf::Instruction;
use sampan_types::{Result, spec::DeviceRule};

/// What every container may use: the devices that the specification has it find in `/dev`, terminals, and making nodes
/// (a node that must not be used can be made; opening it is what is refused).
const DEFAULT: [(char, Option<i64>, Option<i64>, &str); 10] = [
    ('c', None, None, "m"),
    ('b', None, None, "m"),
    ('c', Some(1), Some(3), "rwm"),
    ('c', Some(1), Some(5), "rwm"),
    ('c', Some(1), Some(7), "rwm"),
    ('c', Some(1), Some(8), "rwm"),
    ('c', Some(1), Some(9), "rwm"),
    ('c', Some(5), Some(0), "rwm"),
    ('c', Some(5), Some(2), "rwm"),
    ('c', Some(136), None, "rwm"),
];

/// One rule, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    allow: bool,
    /// `None` is every kind.
    kind: Option<char>,
    /// `None` is every number.
    major: Option<i64>,
    minor: Option<i64>,
    access: String,
}

/// The rules in force: the specification's in order, then the defaults. None where the specification has none: then
/// devices are not restricted.
fn rules(list: &[DeviceRule]) -> Result<Vec<Rule>> {
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let number = |number: Option<i64>| number.filter(|number| *number >= 0);
    let mut rules = Vec::with_capacity(list.len() + DEFAULT.len());
    for rule in list {
        let given = rule.access.as_deref().unwrap_or_default();
        let kind = match rule.kind.as_deref() {
            None | Some("a" | "") => None,
            Some("c" | "u") => Some('c'),
            Some("b") => Some('b'),
            Some(kind) => {
                return Err(invalid(
                    "invalid device rule",
                    format!("{kind:?} is no kind of device: a, b or c"),
                ));
            }
        };
        if given.contains(|right| !"rwm".contains(right)) {
            return Err(invalid("invalid device rule", format!("{given:?} is more than r, w and m")));
        }
        // Each once, in one order; none stands for all.
        let access: String =
            "rwm".chars().filter(|right| given.is_empty() || given.contains(*right)).collect();
        let (major, minor) = (number(rule.major), number(rule.minor));
        rules.push(Rule { allow: rule.allow, kind, major, minor, access });
    }
    let default = DEFAULT.iter().map(|&(kind, major, minor, access)| Rule {
        allow: true,
        kind: Some(kind),
        major,
        minor,
        access: access.to_owned(),
    });
    rules.extend(default);
    Ok(rules)
}

/// The writes that make a list of rules in version 1: file and line, in order.
pub(super) fn lines(list: &[DeviceRule]) -> Result<Vec<(&'static str, String)>> {
    let number = |number: Option<i64>| number.map_or("*".to_owned(), |number| number.to_string());
    let line = |rule: &Rule| match rule.kind {
        // All rights to all devices is the only rule without a kind that the controller knows.
        None => "a".to_owned(),
        Some(kind) => format!("{kind} {}:{} {}", number(rule.major), number(rule.minor), rule.access),
    };
    let file = |allow| if allow { "devices.allow" } else { "devices.deny" };
    Ok(rules(list)?.iter().map(|rule| (file(rule.allow), line(rule))).collect())
}

// Registers and instructions (linux/bpf.h, linux/bpf_common.h). The program is called with its context in register 1, and what it
// leaves in register 0 decides: 1 allows.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const WANTED: u8 = 6;
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xb4;
const MOVE_REGISTER: u8 = 0xbc;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const UNLESS_EQUAL: u8 = 0x55;
const UNLESS_EQUAL_REGISTER: u8 = 0x5d;
const IF_EQUAL: u8 = 0x15;
const EXIT: u8 = 0x95;

/// The same list as a program for version 2; `None` where devices are not restricted. The last rule that fits decides, so they
/// are tried from the end.
pub(super) fn program(list: &[DeviceRule]) -> Result<Option<Vec<Instruction>>> {
    let rules = rules(list)?;
    if rules.is_empty() {
        return Ok(None);
    }
    // struct bpf_cgroup_dev_ctx: access in the upper half of the first word, kind in the lower; major; minor.
    let mut program = vec![
        instruction(LOAD_WORD, KIND, CONTEXT, 0, 0),
        instruction(MOVE_REGISTER, ACCESS, KIND, 0, 0),
        instruction(AND, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in rules.iter().rev() {
        program.extend(decide(rule));
        // One without conditions is the last that is tried, and the kernel takes no code that is never reached.
        if rule.kind.is_none() && rule.access.len() == 3 && rule.major.is_none() && rule.minor.is_none() {
            return Ok(Some(program));
        }
    }
    program.extend([instruction(MOVE, RESULT, 0, 0, 1), instruction(EXIT, 0, 0, 0, 0)]);
    Ok(Some(program))
}

fn decide(rule: &Rule) -> Vec<Instruction> {
    let number = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    let mut code = Vec::new();
    if let Some(kind) = rule.kind {
        code.push(instruction(UNLESS_EQUAL, KIND, 0, 0, if kind == 'b' { 1 } else { 2 }));
    }
    let rights = [('m', 1), ('r', 2), ('w', 4)].iter().filter(|(right, _)| rule.access.contains(*right));
    let rights = rights.fold(0, |all, (_, bit)| all | bit);
    if rights != 7 {
        code.push(instruction(MOVE_REGISTER, WANTED, ACCESS, 0, 0));
        code.push(instruction(AND, WANTED, 0, 0, rights));
        // All that is wanted must be allowed; one right that is denied is enough.
        code.push(match rule.allow {
            true => instruction(UNLESS_EQUAL_REGISTER, WANTED, ACCESS, 0, 0),
            false => instruction(IF_EQUAL, WANTED, 0, 0, 0),
        });
    }
    code.extend(rule.major.map(|major| instruction(UNLESS_EQUAL, MAJOR, 0, 0, number(major))));
    code.extend(rule.minor.map(|minor| instruction(UNLESS_EQUAL, MINOR, 0, 0, number(minor))));
    code.push(instruction(MOVE, RESULT, 0, 0, i32::from(rule.allow)));
    code.push(instruction(EXIT, 0, 0, 0, 0));
    // Every jump leads behind the rule.
    let length = code.len();
    for (at, step) in code.iter_mut().enumerate() {
        if matches!(step.code, UNLESS_EQUAL | UNLESS_EQUAL_REGISTER | IF_EQUAL) {
            step.offset = (length - at - 1) as i16;
        }
    }
    code
}

fn instruction(code: u8, destination: u8, source: u8, offset: i16, value: i32) -> Instruction {
    Instruction { code, registers: destination | source << 4, offset, value }
}

#[cfg(test)]
mod tests;
