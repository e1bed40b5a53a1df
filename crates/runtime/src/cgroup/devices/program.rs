//! A list of rules as a program for version 2 (kernel: admin-guide/cgroup-v2.rst, "Device controller").

use super::{Access, Rule};
use sampan_sys::bpf::Instruction;

// Registers and instructions (linux/bpf.h, linux/bpf_common.h). The program is called with its context in register 1, and what it
// leaves in register 0 decides: 1 allows.
pub(super) const RESULT: u8 = 0;
pub(super) const CONTEXT: u8 = 1;
pub(super) const KIND: u8 = 2;
pub(super) const ACCESS: u8 = 3;
pub(super) const MAJOR: u8 = 4;
pub(super) const MINOR: u8 = 5;
pub(super) const WANTED: u8 = 6;
pub(super) const LOAD_WORD: u8 = 0x61;
pub(super) const MOVE: u8 = 0xb4;
pub(super) const MOVE_REGISTER: u8 = 0xbc;
pub(super) const AND: u8 = 0x54;
pub(super) const SHIFT_RIGHT: u8 = 0x74;
pub(super) const UNLESS_EQUAL: u8 = 0x55;
pub(super) const UNLESS_EQUAL_REGISTER: u8 = 0x5d;
pub(super) const IF_EQUAL: u8 = 0x15;
pub(super) const EXIT: u8 = 0x95;

/// The program that decides as the rules do; the last one that fits decides, so they are tried from the end. What none of them
/// names is denied.
pub(crate) fn program(rules: &[Rule]) -> Vec<Instruction> {
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
        if rule.is_everything() {
            return program;
        }
    }
    program.extend([instruction(MOVE, RESULT, 0, 0, 0), instruction(EXIT, 0, 0, 0, 0)]);
    program
}

fn decide(rule: &Rule) -> Vec<Instruction> {
    // No device has a number beyond 20 bits.
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let mut code = Vec::new();
    if let Some(kind) = rule.kind {
        code.push(instruction(UNLESS_EQUAL, KIND, 0, 0, if kind == 'b' { 1 } else { 2 }));
    }
    let rights = i32::from(rule.access.0);
    if rule.access != Access::ALL {
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
