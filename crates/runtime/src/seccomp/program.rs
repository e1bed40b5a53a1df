//! Classic BPF from rules: a binary search over call numbers, so that a call is decided in about eight comparisons
//! whatever the length of the profile. Only number and architecture are looked at where nothing else matters, so that the
//! kernel (5.11) finds once and for all which calls always pass, and passes them without running the program.

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
    /// Whether arguments have 64 bits.
    pub(super) wide: bool,
    pub(super) segments: Vec<Segment>,
}

/// The whole program. Calls of an architecture that has no block get `otherwise`.
pub(super) fn assemble(blocks: &[Block], otherwise: u32) -> Vec<Instruction> {
    let mut program = Program::default();
    let entries: Vec<_> = blocks
        .iter()
        .rev()
        .map(|block| {
            let search = program.search(&block.segments, block.wide);
            program.load_before(search, NUMBER)
        })
        .collect();
    let mut next = program.give(otherwise);
    // The first block is asked for first, so it is written last.
    for (block, entry) in blocks.iter().rev().zip(entries) {
        next = program.branch(IF_EQUAL, block.audit, entry, next);
    }
    program.load_before(next, ARCHITECTURE);
    program.backwards.reverse();
    program.backwards
}

/// A program under construction, from its end to its beginning: jumps only lead on, so what they lead to is there already
/// when they are written.
#[derive(Debug, Default)]
struct Program {
    backwards: Vec<Instruction>,
    /// The latest return of each value: one serves many.
    returns: Vec<(u32, Place)>,
}

/// An instruction, counted from the end.
type Place = usize;

impl Program {
    fn push(&mut self, instruction: Instruction) -> Place {
        self.backwards.push(instruction);
        self.backwards.len() - 1
    }

    /// Instructions to skip from one that is written next.
    fn distance(&self, place: Place) -> usize {
        self.backwards.len() - place - 1
    }

    /// A place within reach of a branch, which skips 255 instructions at most: this one, or a jump to it, which reaches
    /// all. `spare` is for what is written before the branch.
    fn near(&mut self, place: Place, spare: usize) -> Place {
        match self.distance(place) {
            near if near + spare <= usize::from(u8::MAX) => place,
            far => self.push(plain(JUMP, far as u32)),
        }
    }

    /// A return of this value, near enough to be shared or new.
    fn give(&mut self, value: u32) -> Place {
        let known = self.returns.iter().position(|(own, _)| *own == value);
        if let Some((_, place)) = known.and_then(|index| self.returns.get(index))
            && self.distance(*place) < 200
        {
            return *place;
        }
        let place = self.push(plain(RETURN, value));
        match known {
            Some(index) => self.returns[index].1 = place,
            None => self.returns.push((value, place)),
        }
        place
    }

    fn branch(&mut self, code: u16, value: u32, yes: Place, no: Place) -> Place {
        // Where one of them becomes a jump, the other one is that much further away.
        let (yes, no) = (self.near(yes, 2), self.near(no, 1));
        let (yes, no) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.push(Instruction { code, jump_true: yes, jump_false: no, value })
    }

    /// An instruction that goes on to `next`.
    fn before(&mut self, next: Place, instruction: Instruction) -> Place {
        if self.distance(next) > 0 {
            self.push(plain(JUMP, self.distance(next) as u32));
        }
        self.push(instruction)
    }

    fn load_before(&mut self, next: Place, offset: u32) -> Place {
        self.before(next, plain(LOAD, offset))
    }

    /// Finds the segment that a number falls into.
    fn search(&mut self, segments: &[Segment], wide: bool) -> Place {
        match segments {
            [] => self.give(0),
            [one] => self.decide(one, wide),
            several => {
                let (low, high) = several.split_at(several.len() / 2);
                let above = self.search(high, wide);
                let below = self.search(low, wide);
                self.branch(IF_GREATER_OR_EQUAL, high[0].start, above, below)
            }
        }
    }

    fn decide(&mut self, segment: &Segment, wide: bool) -> Place {
        let mut otherwise = self.give(segment.value);
        for rule in segment.rules.iter().rev() {
            let mut holds = self.give(rule.value);
            for arg in rule.args.iter().rev() {
                holds = self.condition(arg, wide, holds, otherwise);
            }
            otherwise = holds;
        }
        otherwise
    }

    /// Arguments have 64 bits, comparisons 32: the upper half first. Narrow architectures have no upper half.
    fn condition(&mut self, arg: &SyscallArg, wide: bool, holds: Place, fails: Place) -> Place {
        let (value, two) = (halves(arg.value), halves(arg.value_two));
        // Both architectures are little endian.
        let offset = ARGUMENTS + 8 * arg.index;
        match arg.op {
            Operator::MaskedEqual => {
                let low = self.branch(IF_EQUAL, two.0, holds, fails);
                let low = self.before(low, plain(AND, value.0));
                let low = self.load_before(low, offset);
                if !wide {
                    return low;
                }
                let high = self.branch(IF_EQUAL, two.1, low, fails);
                let high = self.before(high, plain(AND, value.1));
                self.load_before(high, offset + 4)
            }
            Operator::Equal => self.equal(offset, value, wide, holds, fails),
            Operator::NotEqual => self.equal(offset, value, wide, fails, holds),
            Operator::Greater => self.order(IF_GREATER, offset, value, wide, holds, fails),
            Operator::GreaterOrEqual => self.order(IF_GREATER_OR_EQUAL, offset, value, wide, holds, fails),
            Operator::Less => self.order(IF_GREATER_OR_EQUAL, offset, value, wide, fails, holds),
            Operator::LessOrEqual => self.order(IF_GREATER, offset, value, wide, fails, holds),
        }
    }

    fn equal(&mut self, offset: u32, value: (u32, u32), wide: bool, yes: Place, no: Place) -> Place {
        let low = self.branch(IF_EQUAL, value.0, yes, no);
        let low = self.load_before(low, offset);
        if !wide {
            return low;
        }
        let high = self.branch(IF_EQUAL, value.1, low, no);
        self.load_before(high, offset + 4)
    }

    /// Above the value, or equal to it where `last` says so.
    fn order(
        &mut self,
        last: u16,
        offset: u32,
        value: (u32, u32),
        wide: bool,
        yes: Place,
        no: Place,
    ) -> Place {
        let low = self.branch(last, value.0, yes, no);
        let low = self.load_before(low, offset);
        if !wide {
            return low;
        }
        let same = self.branch(IF_EQUAL, value.1, low, no);
        let high = self.branch(IF_GREATER, value.1, yes, same);
        self.load_before(high, offset + 4)
    }
}

/// Lower and upper half.
fn halves(value: u64) -> (u32, u32) {
    (value as u32, (value >> 32) as u32)
}

fn plain(code: u16, value: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, value }
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
