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
        flags: Vec::new(),
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
    let notify = profile(Action::Allow, vec![rule(&["read"], Action::Notify, &[])]);
    assert!(Filter::compile(&notify).unwrap_err().to_string().contains("SCMP_ACT_NOTIFY"));
    let seventh =
        profile(Action::Allow, vec![rule(&["read"], Action::Errno, &[arg(6, Operator::Equal, 0, 0)])]);
    assert_eq!(Filter::compile(&seventh).unwrap_err().causes(), ["a system call has no argument 6"]);
    let mut flagged = profile(Action::Allow, Vec::new());
    flagged.flags = vec!["SECCOMP_FILTER_FLAG_FUN".into()];
    assert_eq!(Filter::compile(&flagged).unwrap_err().to_string(), "invalid seccomp profile");
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
        let expected = args.iter().all(|arg| holds(arg, given[arg.index as usize]));
        let found = run(&filter.program, X86_64, 16, given);
        prop_assert_eq!(found == ALLOW, expected);
    }

    #[test]
    fn long_profiles_decide_every_call(allowed in prop::collection::btree_set(0..330u32, 0..300)) {
        let names: Vec<_> = Arch::X86_64.numbers().into_iter().filter(|(_, n)| allowed.contains(n)).map(|(name, _)| name).collect();
        let filter = Filter::compile(&profile(Action::Errno, vec![rule(&names, Action::Allow, &[])])).unwrap();
        let numbers: Vec<_> = Arch::X86_64.numbers().into_values().filter(|n| allowed.contains(n)).collect();
        for number in 0..400 {
            prop_assert_eq!(run(&filter.program, X86_64, number, [0; 6]) == ALLOW, numbers.contains(&number));
        }
    }
}
