//! System call filters: from a profile (config-linux.md, "Seccomp") to a program of the kernel's.
//!
//! Rules of a call are tried in the profile's order, those without conditions after all others; the first that fits
//! decides. A rule that has several conditions on one argument stands for as many rules with one condition each, as runc
//! has it. Names that no architecture has are passed over: profiles are written for many kernels. A call that is newer
//! than every one the profile names gets `ENOSYS` where the default would refuse it, so that programs fall back to what is
//! there (as runc does).

mod arch;
mod names;
pub(crate) mod notify;
mod program;
mod stored;

use crate::error::{Cannot, invalid};
use arch::{Arch, Unknown};
use names::Call;
use program::{Block, Rule, Segment};
use rustix::io::Errno;
use sampan_sys::seccomp::{Instruction, MAX_INSTRUCTIONS, flag};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{Action, Operator, Seccomp, SyscallArg, SyscallRule},
};
use std::os::fd::OwnedFd;

// Return values (linux/seccomp.h).
const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const NOTIFY: u32 = 0x7fc0_0000;
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
        check(profile)?;
        let mut architectures = vec![Arch::NATIVE];
        for word in &profile.architectures {
            let arch = Arch::parse(word).map_err(|Unknown| {
                let why = format!("{word:?} is no architecture");
                invalid("invalid seccomp profile", why)
            })?;
            // One of another machine's has no calls here.
            if let Some(arch) = arch.filter(|arch| !architectures.contains(arch)) {
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

    /// Whether another process answers some calls: loading gives the descriptor to answer on.
    pub(crate) fn notifies(&self) -> bool {
        self.flags & flag::NEW_LISTENER != 0
    }

    /// Puts the calling process under it, for good.
    pub(crate) fn load(&self) -> Result<Option<OwnedFd>> {
        sampan_sys::seccomp::load(&self.program, self.flags).cannot(|| "load the seccomp filter".into())
    }
}

/// Whether a rule of the profile asks another process.
fn uses_notify(profile: &Seccomp) -> bool {
    profile.syscalls.iter().any(|rule| rule.action == Action::Notify)
}

fn check(profile: &Seccomp) -> Result<()> {
    let refuse = |why: String| Err(invalid("invalid seccomp profile", why));
    if profile.default_action == Action::Notify {
        return refuse("SCMP_ACT_NOTIFY cannot be used as default action".into());
    }
    for rule in &profile.syscalls {
        // Before the descriptor to answer on is out of the process, nobody would answer this call.
        if rule.action == Action::Notify && rule.names.iter().any(|name| name == "write") {
            return refuse("SCMP_ACT_NOTIFY cannot be used for the write syscall".into());
        }
        if let Some(arg) = rule.args.iter().find(|arg| arg.index > 5) {
            return refuse(format!("a system call has no argument {}", arg.index));
        }
    }
    if uses_notify(profile) && profile.listener_path.as_ref().is_none_or(|path| path.as_os_str().is_empty()) {
        return refuse("SCMP_ACT_NOTIFY needs a listenerPath".into());
    }
    Ok(())
}

fn flags(profile: &Seccomp) -> Result<u32> {
    let flags = match &profile.flags {
        // As runc: without a word on it, not even an empty list, speculation stays as it is.
        None => flag::SPEC_ALLOW,
        Some(words) => words.iter().try_fold(0, |flags, word| {
            let own = match word.as_str() {
                "SECCOMP_FILTER_FLAG_TSYNC" => flag::TSYNC,
                "SECCOMP_FILTER_FLAG_LOG" => flag::LOG,
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => flag::SPEC_ALLOW,
                "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => flag::WAIT_KILLABLE_RECV,
                word => {
                    let why = format!("{word:?} is no flag of a filter");
                    return Err(invalid("invalid seccomp profile", why));
                }
            };
            Ok(flags | own)
        })?,
    };
    Ok(match uses_notify(profile) {
        // The kernel refuses both together; of one thread there is nothing to synchronise.
        true => (flags & !flag::TSYNC) | flag::NEW_LISTENER,
        // It is about waiting for who answers.
        false => flags & !flag::WAIT_KILLABLE_RECV,
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
        Action::Notify => NOTIFY,
        Action::Allow => ALLOW,
    }
}

/// One block for each architecture of the kernel's; x32 shares that of x86-64.
fn blocks(profile: &Seccomp, architectures: &[Arch]) -> Vec<Block> {
    let calls = calls(profile, architectures);
    let of = |wanted: Arch| architectures.iter().zip(&calls).find(|(arch, _)| **arch == wanted);
    architectures
        .iter()
        .zip(&calls)
        .filter(|(arch, _)| **arch != Arch::X32)
        .map(|(&arch, own)| {
            let mut segments = segments(profile, arch, own);
            if arch == Arch::X86_64 {
                // Without x32 in the profile none of its calls passes, whatever the default: they would be a way around the rules.
                let refused = Segment { start: arch::X32_BIT, rules: Vec::new(), value: ERRNO | nosys() };
                let above = match of(Arch::X32) {
                    Some((arch, own)) => self::segments(profile, *arch, own),
                    None => vec![refused],
                };
                segments.retain(|segment| segment.start < arch::X32_BIT);
                segments.extend(above.into_iter().filter(|segment| segment.start >= arch::X32_BIT));
            }
            Block { audit: arch.audit(), wide: arch.is_wide(), segments }
        })
        .collect()
}

fn nosys() -> u32 {
    Errno::NOSYS.raw_os_error() as u32
}

/// A call of an architecture that a rule names, in one word that sorts by numbers and then by rules: 32 bits for the number,
/// 24 for the rule, 8 for the argument where it is made through another call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Named(u64);

impl Named {
    fn new(number: u32, rule: usize, gathered: Option<u8>) -> Self {
        Self(u64::from(number) << 32 | (rule as u64) << 8 | u64::from(gathered.unwrap_or_default()))
    }

    fn number(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn rule(self) -> usize {
        (self.0 >> 8 & 0xff_ffff) as usize
    }

    fn gathered(self) -> Option<u8> {
        Some(self.0 as u8).filter(|argument| *argument != 0)
    }
}

/// What the rules name, by architecture, in order of numbers and then of rules.
fn calls(profile: &Seccomp, architectures: &[Arch]) -> Vec<Vec<Named>> {
    let names = profile.syscalls.iter().map(|rule| rule.names.len()).sum();
    let mut calls: Vec<Vec<Named>> = architectures.iter().map(|_| Vec::with_capacity(names)).collect();
    for (rule, syscalls) in profile.syscalls.iter().enumerate() {
        for name in &syscalls.names {
            let Some(call) = names::find(name) else { continue };
            for (arch, own) in architectures.iter().zip(&mut calls) {
                own.extend(arch.number(call).map(|number| Named::new(number, rule, None)));
                if *arch == Arch::X86 {
                    own.extend(through_another(call, syscalls, rule));
                }
            }
        }
    }
    calls.iter_mut().for_each(|own| own.sort_unstable());
    calls
}

/// A rule about a call that can also be made through `socketcall` or `ipc` is about that as well, unless it looks at
/// arguments: there they are in memory, out of a filter's sight.
fn through_another(call: &Call, syscalls: &SyscallRule, rule: usize) -> Option<Named> {
    let number = if call.by_ipc { names::IPC } else { names::SOCKETCALL };
    (call.gathered != 0 && syscalls.args.is_empty()).then(|| Named::new(number, rule, Some(call.gathered)))
}

/// The calls of an architecture in order of their numbers, neighbours with one fate together.
fn segments(profile: &Seccomp, arch: Arch, calls: &[Named]) -> Vec<Segment> {
    let default = value(profile.default_action, profile.default_errno_ret);
    let base = if arch == Arch::X32 { arch::X32_BIT } else { 0 };
    let mut segments = vec![Segment { start: base, rules: Vec::new(), value: default }];
    // 32-bit Arm has some of its own, far above those that all share.
    let private = |named: &Named| arch == Arch::Arm && named.number() >= arch::ARM_OWN;
    let (shared, own) = calls.split_at(calls.partition_point(|named| !private(named)));
    name(&mut segments, profile, shared, default);
    let refuses = !matches!(profile.default_action, Action::Allow | Action::Log | Action::Trace);
    let newest = shared.iter().rfind(|named| named.gathered().is_none()).filter(|_| refuses);
    let beyond = match newest {
        Some(newest) => {
            let value = ERRNO | nosys();
            push(&mut segments, Segment { start: newest.number() + 1, rules: Vec::new(), value });
            value
        }
        None => default,
    };
    name(&mut segments, profile, own, beyond);
    segments
}

/// Adds the calls that rules name; those between them get `otherwise`.
fn name(segments: &mut Vec<Segment>, profile: &Seccomp, calls: &[Named], otherwise: u32) {
    let default = value(profile.default_action, profile.default_errno_ret);
    for named in calls.chunk_by(|one, other| one.number() == other.number()) {
        let number = named[0].number();
        let (rules, fate) = decisions(profile, named);
        push(segments, Segment { start: number, rules, value: fate.unwrap_or(default) });
        push(segments, Segment { start: number + 1, rules: Vec::new(), value: otherwise });
    }
}

/// The rules about one call, and what happens where none of them fits, if the profile says that.
fn decisions(profile: &Seccomp, named: &[Named]) -> (Vec<Rule>, Option<u32>) {
    let (mut rules, mut fate) = (Vec::new(), None);
    for named in named {
        let rule = &profile.syscalls[named.rule()];
        let value = value(rule.action, rule.errno_ret);
        if let Some(argument) = named.gathered() {
            // The upper half of `ipc`'s is a version.
            let op = Operator::MaskedEqual;
            let args = vec![SyscallArg { index: 0, value: 0xffff, value_two: u64::from(argument), op }];
            rules.push(Rule { args, value });
        } else if rule.args.is_empty() {
            fate = fate.or(Some(value));
        } else if has_twice(&rule.args) {
            rules.extend(rule.args.iter().map(|arg| Rule { args: vec![*arg], value }));
        } else {
            rules.push(Rule { args: rule.args.clone(), value });
        }
    }
    // Those that say nothing else than what happens anyway.
    while rules.last().is_some_and(|rule| Some(rule.value) == fate) {
        rules.pop();
    }
    (rules, fate)
}

fn has_twice(args: &[SyscallArg]) -> bool {
    args.iter().enumerate().any(|(at, arg)| args[..at].iter().any(|earlier| earlier.index == arg.index))
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
