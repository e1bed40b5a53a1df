//! Classic BPF from rules: a binary search over call numbers, so that a call is decided in about eight comparisons
//! whatever the length of the profile.

use sampan_sys::seccomp::Instruction;
use sampan_types::spec::{Operator, SyscallArg};

// linux/bpf_common.h
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

// struct seccomp_data (linux/seccomp.h): number, architecture, instruction pointer, six arguments of 64 bits.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// One rule for a call: the conditions that must all hold, and the kernel's return value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) args: Vec<SyscallArg>,
    pub(super) value: u32,
}

/// What happens to call numbers from `start` up to the next segment's: the first rule that fits, else `value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) start: u32,
    pub(super) rules: Vec<Rule>,
    pub(super) value: u32,
}

/// The calls of one architecture, as the kernel names it; segments in order, the first one from 0 on.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) audit: u32,
    pub(super) segments: Vec<Segment>,
}

/// The whole program. Calls of an architecture that has no block get `otherwise`.
pub(super) fn assemble(blocks: &[Block], otherwise: u32) -> Vec<Instruction> {
    let mut program = vec![load(ARCHITECTURE)];
    for block in blocks {
        let mut body = vec![load(NUMBER)];
        body.extend(search(&block.segments));
        program.push(branch(IF_EQUAL, block.audit, 1, 0));
        program.push(jump(body.len()));
        program.extend(body);
    }
    program.push(give(otherwise));
    program
}

fn search(segments: &[Segment]) -> Vec<Instruction> {
    let [first, .., _] = segments else {
        return segments.first().map_or(Vec::new(), decide);
    };
    debug_assert!(first.start < segments[1].start);
    let (low, high) = segments.split_at(segments.len() / 2);
    let (below, above) = (search(low), search(high));
    let mut code = Vec::with_capacity(below.len() + above.len() + 2);
    match u8::try_from(below.len()) {
        Ok(distance) => code.push(branch(IF_GREATER_OR_EQUAL, high[0].start, distance, 0)),
        // A branch reaches 255 instructions; a jump reaches all.
        Err(_) => {
            code.push(branch(IF_GREATER_OR_EQUAL, high[0].start, 0, 1));
            code.push(jump(below.len()));
        }
    }
    code.extend(below);
    code.extend(above);
    code
}

fn decide(segment: &Segment) -> Vec<Instruction> {
    let mut code = Vec::new();
    for rule in &segment.rules {
        let conditions = rule.args.iter().map(condition).collect::<Vec<_>>();
        // From each instruction that fails, over what follows of this rule, its return included.
        let mut left: usize = conditions.iter().map(Vec::len).sum::<usize>() + 1;
        for condition in &conditions {
            for (step, own) in condition.iter().zip((1..=condition.len()).rev()) {
                // Distances are small: six conditions of at most four steps.
                let distance = |outcome| match outcome {
                    Outcome::Next(skip) => skip,
                    Outcome::Holds => (own - 1) as u8,
                    Outcome::Fails => (left - 1) as u8,
                };
                code.push(match *step {
                    Step::Do(instruction) => instruction,
                    Step::Branch(code, value, yes, no) => branch(code, value, distance(yes), distance(no)),
                });
                left -= 1;
            }
        }
        code.push(give(rule.value));
    }
    code.push(give(segment.value));
    code
}

/// A step of a condition.
#[derive(Clone, Copy)]
enum Step {
    Do(Instruction),
    Branch(u16, u32, Outcome, Outcome),
}

#[derive(Clone, Copy)]
enum Outcome {
    /// Goes on within the condition, so many steps further.
    Next(u8),
    Holds,
    Fails,
}

/// Arguments have 64 bits, comparisons 32: the upper half first.
fn condition(arg: &SyscallArg) -> Vec<Step> {
    use Outcome::{Fails, Holds, Next};
    let offset = ARGUMENTS + 8 * arg.index;
    // Both architectures are little endian.
    let (low, high) = (Step::Do(load(offset)), Step::Do(load(offset + 4)));
    let halves = |value: u64| (value as u32, (value >> 32) as u32);
    let (value, value_high) = halves(arg.value);
    let order = |last: u16, yes, no| {
        let (above, below) = (yes, no);
        vec![
            high,
            Step::Branch(IF_GREATER, value_high, above, Next(0)),
            Step::Branch(IF_EQUAL, value_high, Next(0), below),
            low,
            Step::Branch(last, value, yes, no),
        ]
    };
    match arg.op {
        Operator::Equal => vec![
            high,
            Step::Branch(IF_EQUAL, value_high, Next(0), Fails),
            low,
            Step::Branch(IF_EQUAL, value, Holds, Fails),
        ],
        Operator::NotEqual => vec![
            high,
            Step::Branch(IF_EQUAL, value_high, Next(0), Holds),
            low,
            Step::Branch(IF_EQUAL, value, Fails, Holds),
        ],
        Operator::Greater => order(IF_GREATER, Holds, Fails),
        Operator::GreaterOrEqual => order(IF_GREATER_OR_EQUAL, Holds, Fails),
        Operator::Less => order(IF_GREATER_OR_EQUAL, Fails, Holds),
        Operator::LessOrEqual => order(IF_GREATER, Fails, Holds),
        Operator::MaskedEqual => {
            let (expected, expected_high) = halves(arg.value_two);
            vec![
                high,
                Step::Do(and(value_high)),
                Step::Branch(IF_EQUAL, expected_high, Next(0), Fails),
                low,
                Step::Do(and(value)),
                Step::Branch(IF_EQUAL, expected, Holds, Fails),
            ]
        }
    }
}

fn plain(code: u16, value: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, value }
}

fn load(offset: u32) -> Instruction {
    plain(LOAD, offset)
}

fn and(mask: u32) -> Instruction {
    plain(AND, mask)
}

fn jump(distance: usize) -> Instruction {
    // A program has at most 4096 instructions.
    plain(JUMP, distance as u32)
}

fn give(value: u32) -> Instruction {
    plain(RETURN, value)
}

fn branch(code: u16, value: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction { code, jump_true, jump_false, value }
}

#[cfg(test)]
pub(super) mod machine {
    //! The kernel's interpreter, as far as these programs need it.

    use super::*;

    /// Runs a program on a call.
    pub(crate) fn run(program: &[Instruction], audit: u32, number: u32, args: [u64; 6]) -> u32 {
        let word = |offset: u32| match offset {
            NUMBER => number,
            ARCHITECTURE => audit,
            offset => {
                let index = (offset - ARGUMENTS) as usize;
                (args[index / 8] >> (8 * (index % 8))) as u32
            }
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            let holds = match step.code {
                LOAD => {
                    accumulator = word(step.value);
                    continue;
                }
                AND => {
                    accumulator &= step.value;
                    continue;
                }
                JUMP => {
                    at += step.value as usize;
                    continue;
                }
                RETURN => return step.value,
                IF_EQUAL => accumulator == step.value,
                IF_GREATER => accumulator > step.value,
                _ => accumulator >= step.value,
            };
            at += usize::from(if holds { step.jump_true } else { step.jump_false });
        }
    }
}
