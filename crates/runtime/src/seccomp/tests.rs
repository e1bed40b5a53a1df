use super::{program::machine::run, *};
use proptest::prelude::*;
use sampan_types::spec::{Operator, SyscallArg, SyscallRule};

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;

fn profile(default_action: Action, syscalls: Vec<SyscallRule>) -> Seccomp {
    Seccomp {
        default_action,
        default_errno_ret: None,
        architectures: vec!["SCMP_ARCH_X86".into()],
        flags: None,
        listener_path: None,
        listener_metadata: None,
        syscalls,
    }
}

fn rule(names: &[&str], action: Action, args: &[SyscallArg]) -> SyscallRule {
    let names = names.iter().map(|&name| name.into()).collect();
    SyscallRule { names, action, errno_ret: None, args: args.to_vec() }
}

fn arg(index: u32, op: Operator, value: u64, value_two: u64) -> SyscallArg {
    SyscallArg { index, value, value_two, op }
}

#[test]
fn calls_are_decided_by_name_on_each_architecture() {
    let allowed = rule(&["read", "write", "close", "no_such_call", "unshare"], Action::Allow, &[]);
    let filter = Filter::compile(&profile(Action::Errno, vec![allowed])).unwrap();
    let call = |audit, number| run(&filter.program, audit, number, [0; 6]);
    assert_eq!((call(X86_64, 0), call(X86_64, 1), call(X86_64, 3)), (ALLOW, ALLOW, ALLOW));
    assert_eq!(call(X86_64, 2), ERRNO | 1, "open is not named");
    assert_eq!((call(I386, 3), call(I386, 5)), (ALLOW, ERRNO | 1));
    assert_eq!(call(X86_64, 272), ALLOW, "unshare");
    assert_eq!(call(X86_64, 273), ERRNO | 38, "newer than all that is named");
    assert_eq!(call(X86_64, arch::X32_BIT), ERRNO | 38, "x32 is not asked for");
    assert_eq!(call(0xc000_00b7, 63), KILL_PROCESS, "another architecture");
}

#[test]
fn x32_has_its_own_numbers() {
    let mut profile = profile(Action::Allow, vec![rule(&["execve"], Action::KillProcess, &[])]);
    profile.architectures = vec!["SCMP_ARCH_X32".into(), "SCMP_ARCH_MIPS".into()];
    let filter = Filter::compile(&profile).unwrap();
    let call = |number| run(&filter.program, X86_64, number, [0; 6]);
    assert_eq!(
        (call(59), call(arch::X32_BIT | 520), call(arch::X32_BIT)),
        (KILL_PROCESS, KILL_PROCESS, ALLOW)
    );
}

#[test]
fn conditional_rules_come_before_the_others() {
    let rules = vec![
        rule(&["clone"], Action::Errno, &[]),
        rule(&["clone"], Action::Allow, &[arg(0, Operator::MaskedEqual, 0x7e02_0000, 0)]),
        rule(&["personality"], Action::Allow, &[arg(0, Operator::Equal, 0, 0)]),
        rule(&["personality"], Action::Allow, &[arg(0, Operator::Equal, 8, 0)]),
    ];
    let filter = Filter::compile(&profile(Action::KillProcess, rules)).unwrap();
    let call = |number, first| run(&filter.program, X86_64, number, [first, 0, 0, 0, 0, 0]);
    assert_eq!((call(56, 17), call(56, 0x1000_0011)), (ALLOW, ERRNO | 1));
    assert_eq!((call(135, 0), call(135, 8), call(135, 9)), (ALLOW, ALLOW, KILL_PROCESS));
}

#[test]
fn what_cannot_be_is_refused() {
    let causes = |profile: &Seccomp| Filter::compile(profile).unwrap_err().causes().concat();
    let mut notify = profile(Action::Allow, vec![rule(&["read", "write"], Action::Notify, &[])]);
    assert_eq!(causes(&notify), "SCMP_ACT_NOTIFY cannot be used for the write syscall");
    notify.syscalls[0].names.pop();
    assert_eq!(causes(&notify), "SCMP_ACT_NOTIFY needs a listenerPath");
    assert_eq!(
        causes(&profile(Action::Notify, Vec::new())),
        "SCMP_ACT_NOTIFY cannot be used as default action"
    );
    let seventh =
        profile(Action::Allow, vec![rule(&["read"], Action::Errno, &[arg(6, Operator::Equal, 0, 0)])]);
    assert_eq!(Filter::compile(&seventh).unwrap_err().causes(), ["a system call has no argument 6"]);
    let mut flagged = profile(Action::Allow, Vec::new());
    flagged.flags = Some(vec!["SECCOMP_FILTER_FLAG_FUN".into()]);
    assert_eq!(causes(&flagged), "\"SECCOMP_FILTER_FLAG_FUN\" is no flag of a filter");
}

#[test]
fn flags_are_the_kernel_s() {
    let flags = |words: Option<&[&str]>, action: Action| {
        let mut profile = profile(Action::Allow, vec![rule(&["read"], action, &[])]);
        profile.listener_path = Some("/agent".into());
        profile.flags =
            words.map(|words| words.iter().map(|word| format!("SECCOMP_FILTER_FLAG_{word}")).collect());
        Filter::compile(&profile).unwrap().flags
    };
    assert_eq!(flags(None, Action::Errno), flag::SPEC_ALLOW);
    assert_eq!(flags(Some(&[]), Action::Errno), 0);
    assert_eq!(flags(Some(&["LOG", "TSYNC"]), Action::Errno), flag::LOG | flag::TSYNC);
    assert_eq!(flags(Some(&["WAIT_KILLABLE_RECV"]), Action::Errno), 0, "nobody answers");
    let all = Some(&["WAIT_KILLABLE_RECV", "TSYNC"][..]);
    assert_eq!(flags(all, Action::Notify), flag::WAIT_KILLABLE_RECV | flag::NEW_LISTENER);
}

#[test]
fn two_conditions_on_one_argument_are_two_rules() {
    let args = [arg(0, Operator::Equal, 1, 0), arg(0, Operator::Equal, 3, 0), arg(1, Operator::Equal, 9, 0)];
    let filter =
        Filter::compile(&profile(Action::Allow, vec![rule(&["dup2"], Action::Errno, &args)])).unwrap();
    let call = |first, second| run(&filter.program, X86_64, 33, [first, second, 0, 0, 0, 0]);
    assert_eq!([call(1, 0), call(3, 0), call(2, 9), call(2, 8)], [ERRNO | 1, ERRNO | 1, ERRNO | 1, ALLOW]);
}

#[test]
fn narrow_architectures_have_narrow_arguments() {
    let args = [arg(0, Operator::Equal, u64::MAX, 0)];
    let filter =
        Filter::compile(&profile(Action::Allow, vec![rule(&["dup"], Action::Errno, &args)])).unwrap();
    assert_eq!(run(&filter.program, I386, 41, [0xffff_ffff, 0, 0, 0, 0, 0]), ERRNO | 1);
    assert_eq!(run(&filter.program, X86_64, 32, [0xffff_ffff, 0, 0, 0, 0, 0]), ALLOW);
}

#[test]
fn calls_gathered_in_another_are_seen() {
    let rules = vec![
        rule(&["socketcall", "ipc"], Action::Allow, &[]),
        rule(&["connect", "shmget"], Action::Errno, &[]),
    ];
    let filter = Filter::compile(&profile(Action::Allow, rules)).unwrap();
    let call = |number, first| run(&filter.program, I386, number, [first, 0, 0, 0, 0, 0]);
    assert_eq!((call(102, 3), call(102, 1)), (ERRNO | 1, ALLOW), "connect and socket by socketcall");
    assert_eq!((call(117, 0x1_0017), call(117, 21)), (ERRNO | 1, ALLOW), "shmget and shmat by ipc");
    assert_eq!((call(362, 0), call(395, 0)), (ERRNO | 1, ERRNO | 1), "by their own numbers");
}

fn holds(arg: &SyscallArg, given: u64) -> bool {
    match arg.op {
        Operator::NotEqual => given != arg.value,
        Operator::Less => given < arg.value,
        Operator::LessOrEqual => given <= arg.value,
        Operator::Equal => given == arg.value,
        Operator::GreaterOrEqual => given >= arg.value,
        Operator::Greater => given > arg.value,
        Operator::MaskedEqual => given & arg.value == arg.value_two,
    }
}

fn operators() -> impl Strategy<Value = Operator> {
    prop::sample::select(vec![
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Equal,
        Operator::GreaterOrEqual,
        Operator::Greater,
        Operator::MaskedEqual,
    ])
}

/// Values that meet: few bits in both halves.
fn values() -> impl Strategy<Value = u64> {
    (0..3u64, 0..3u64).prop_map(|(high, low)| high << 32 | low)
}

proptest! {
    #[test]
    fn conditions_mean_what_they_say(
        args in prop::collection::vec((0..6u32, operators(), values(), values()), 1..6),
        given in prop::array::uniform6(values()),
    ) {
        let args: Vec<_> = args.into_iter().map(|(index, op, value, two)| arg(index, op, value, two)).collect();
        let filter = Filter::compile(&profile(Action::Errno, vec![rule(&["ioctl"], Action::Allow, &args)])).unwrap();
        let mut each = args.iter().map(|arg| holds(arg, given[arg.index as usize]));
        let expected = if has_twice(&args) { each.any(|own| own) } else { each.all(|own| own) };
        let found = run(&filter.program, X86_64, 16, given);
        prop_assert_eq!(found == ALLOW, expected);
    }

    #[test]
    fn long_profiles_decide_every_call(allowed in prop::collection::btree_set(0..330usize, 0..300), traced in prop::collection::btree_set(0..460usize, 0..40)) {
        let name = |id: &usize| syscalls::x86_64::Sysno::new(*id).map(|call| call.name());
        let names: Vec<_> = allowed.iter().filter_map(name).collect();
        let others: Vec<_> = traced.difference(&allowed).filter_map(name).collect();
        let six = [0, 1, 2, 3, 4, 5].map(|index| arg(index, Operator::Greater, 1, 0));
        let rules = vec![rule(&names, Action::Allow, &[]), rule(&others, Action::Trace, &six)];
        let filter = Filter::compile(&profile(Action::Errno, rules)).unwrap();
        let newest = allowed.iter().chain(traced.difference(&allowed)).filter(|id| name(id).is_some()).max();
        for number in 0..500usize {
            let known = name(&number).is_some();
            let expected = match () {
                () if known && allowed.contains(&number) => ALLOW,
                () if known && traced.contains(&number) => TRACE | 1,
                () if newest.is_some_and(|newest| number > *newest) => ERRNO | 38,
                () => ERRNO | 1,
            };
            prop_assert_eq!(run(&filter.program, X86_64, number as u32, [2; 6]), expected, "call {}", number);
        }
    }
}
