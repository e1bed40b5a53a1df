//! System call filters: from a profile (config-linux.md, "Seccomp") to a program of the kernel's.
//!
//! Rules of a call are tried in the profile's order, those without conditions after all others; the first that fits
//! decides. Names that no architecture has are passed over: profiles are written for many kernels. A call that is newer
//! than every one the profile names gets `ENOSYS` where the default would refuse it, so that programs fall back to what is
//! there (as runc does).

mod arch;
mod program;

use crate::error::Cannot;
use arch::Arch;
use program::{Block, Rule, Segment};
use rustix::io::Errno;
use sampan_sys::seccomp::{Instruction, MAX_INSTRUCTIONS, flag};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{Action, Seccomp},
};
use std::collections::BTreeMap;

// Return values (linux/seccomp.h).
const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

/// A compiled filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    program: Vec<Instruction>,
    flags: u32,
}

impl Filter {
    /// Compiles a profile.
    pub(crate) fn compile(profile: &Seccomp) -> Result<Self> {
        let notifies = |action| action == Action::Notify;
        if notifies(profile.default_action) || profile.syscalls.iter().any(|rule| notifies(rule.action)) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "cannot follow SCMP_ACT_NOTIFY of the seccomp profile",
            )
            .because("this runtime has no listener for system calls"));
        }
        if let Some(arg) = profile.syscalls.iter().flat_map(|rule| &rule.args).find(|arg| arg.index > 5) {
            return Err(crate::error::invalid(
                "invalid seccomp profile",
                format!("a system call has no argument {}", arg.index),
            ));
        }
        let mut architectures = vec![Arch::NATIVE];
        for arch in profile.architectures.iter().filter_map(|word| Arch::parse(word)) {
            if !architectures.contains(&arch) {
                architectures.push(arch);
            }
        }
        let program = program::assemble(&blocks(profile, &architectures), KILL_PROCESS);
        if program.len() > MAX_INSTRUCTIONS {
            return Err(Error::new(ErrorKind::Exhausted, "cannot compile the seccomp profile")
                .because(format!("{} instructions are more than the kernel takes", program.len()))
                .hint("leave out rules with conditions, or architectures"));
        }
        Ok(Self { program, flags: flags(profile)? })
    }

    /// Puts the calling process under it, for good.
    pub(crate) fn load(&self) -> Result<()> {
        sampan_sys::seccomp::load(&self.program, self.flags)
            .map(drop)
            .cannot(|| "load the seccomp filter".into())
    }
}

fn flags(profile: &Seccomp) -> Result<u32> {
    // As runc: without a word on it, speculation stays as it is.
    if profile.flags.is_empty() {
        return Ok(flag::SPEC_ALLOW);
    }
    profile.flags.iter().try_fold(0, |flags, word| {
        let own = match word.as_str() {
            "SECCOMP_FILTER_FLAG_TSYNC" => flag::TSYNC,
            "SECCOMP_FILTER_FLAG_LOG" => flag::LOG,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => flag::SPEC_ALLOW,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => flag::WAIT_KILLABLE_RECV,
            word => {
                let why = format!("{word:?} is no flag of a filter");
                return Err(crate::error::invalid("invalid seccomp profile", why));
            }
        };
        Ok(flags | own)
    })
}

fn value(action: Action, errno: Option<u32>) -> u32 {
    let errno = errno.unwrap_or(Errno::PERM.raw_os_error() as u32) & 0xffff;
    match action {
        Action::Kill | Action::KillThread => KILL_THREAD,
        Action::KillProcess => KILL_PROCESS,
        Action::Trap => TRAP,
        Action::Errno => ERRNO | errno,
        Action::Trace => TRACE | errno,
        Action::Log => LOG,
        Action::Allow | Action::Notify => ALLOW,
    }
}

/// One block for each architecture of the kernel's; x32 shares that of x86-64.
fn blocks(profile: &Seccomp, architectures: &[Arch]) -> Vec<Block> {
    let x32 = architectures.contains(&Arch::X32);
    architectures
        .iter()
        .filter(|arch| **arch != Arch::X32)
        .map(|&arch| {
            let mut segments = segments(profile, arch);
            if arch == Arch::X86_64 {
                // Without x32 in the profile none of its calls passes, whatever the default: they would be a way around the rules.
                let refused = Segment { start: arch::X32_BIT, rules: Vec::new(), value: ERRNO | nosys() };
                let above = if x32 { self::segments(profile, Arch::X32) } else { vec![refused] };
                segments.retain(|segment| segment.start < arch::X32_BIT);
                segments.extend(above.into_iter().filter(|segment| segment.start >= arch::X32_BIT));
            }
            Block { audit: arch.audit(), segments }
        })
        .collect()
}

fn nosys() -> u32 {
    Errno::NOSYS.raw_os_error() as u32
}

/// The calls of an architecture in order of their numbers, neighbours with one fate together.
fn segments(profile: &Seccomp, arch: Arch) -> Vec<Segment> {
    let numbers = arch.numbers();
    let default = value(profile.default_action, profile.default_errno_ret);
    let mut calls: BTreeMap<u32, (Vec<Rule>, Option<u32>)> = BTreeMap::new();
    for rule in &profile.syscalls {
        let value = value(rule.action, rule.errno_ret);
        for number in rule.names.iter().filter_map(|name| numbers.get(name.as_str())) {
            let call = calls.entry(*number).or_default();
            if rule.args.is_empty() {
                call.1 = call.1.or(Some(value));
            } else {
                call.0.push(Rule { args: rule.args.clone(), value });
            }
        }
    }
    let newest = calls.keys().next_back().copied();
    let base = if arch == Arch::X32 { arch::X32_BIT } else { 0 };
    let mut segments = vec![Segment { start: base, rules: Vec::new(), value: default }];
    for (number, (rules, fate)) in calls {
        push(&mut segments, Segment { start: number, rules, value: fate.unwrap_or(default) });
        push(&mut segments, Segment { start: number + 1, rules: Vec::new(), value: default });
    }
    let refuses = !matches!(profile.default_action, Action::Allow | Action::Log | Action::Trace);
    if let Some(newest) = newest.filter(|_| refuses) {
        push(&mut segments, Segment { start: newest + 1, rules: Vec::new(), value: ERRNO | nosys() });
    }
    segments
}

fn push(segments: &mut Vec<Segment>, segment: Segment) {
    // It takes the place of an empty one, and is swallowed by an equal one.
    if segments.last().is_some_and(|last| last.start == segment.start) {
        segments.pop();
    }
    if !segments.last().is_some_and(|last| last.rules == segment.rules && last.value == segment.value) {
        segments.push(segment);
    }
}

#[cfg(test)]
mod tests;
