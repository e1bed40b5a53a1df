use super::{program::*, *};
use proptest::prelude::*;
use sampan_sys::bpf::Instruction;

fn rule(allow: bool, kind: &str, major: Option<i64>, minor: Option<i64>, access: &str) -> DeviceRule {
    DeviceRule { allow, kind: Some(kind.into()), major, minor, access: Some(access.into()) }
}

fn list() -> Vec<DeviceRule> {
    vec![
        DeviceRule::default(),
        rule(true, "c", Some(10), Some(229), "rw"),
        rule(true, "b", Some(8), Some(-1), "r"),
        rule(false, "b", Some(8), Some(1), "r"),
    ]
}

/// What a new group of a host without restrictions says.
const ALL: &str = "a *:* rwm\n";

fn lines(list: &str, rules: &[DeviceRule]) -> Change {
    change(list, &super::rules(rules).unwrap()).unwrap()
}

#[test]
fn a_new_group_gets_the_list_and_the_defaults() {
    let change = lines(ALL, &list()[..3]);
    assert!(change.denies_all && change.reset == ["a"] && change.deny.is_empty());
    assert_eq!(change.allow[..2], ["c 10:229 rw", "b 8:* r"]);
    assert!(change.allow.contains(&"c 1:3 rwm".to_owned()));
    assert!(lines(ALL, &[]).denies_all, "no list is only the defaults");
}

#[test]
fn an_update_is_the_difference() {
    let now = "c *:* m\nb *:* m\nc 1:3 rwm\nc 1:5 rwm\nc 1:7 rwm\nc 1:8 rwm\nc 1:9 rwm\nc 5:0 rwm\nc 5:2 rwm\n\
               c 136:* rwm\nc 10:229 rwm\nb 8:* r\n";
    let change =
        lines(now, &[rule(true, "c", Some(10), Some(229), "rm"), rule(true, "c", Some(10), Some(200), "rw")]);
    let expected = Change {
        allow: vec!["c 10:200 rw".to_owned()],
        deny: vec!["c 10:229 w".to_owned(), "b 8:* r".to_owned()],
        ..Change::default()
    };
    assert_eq!(change, expected);
}

#[test]
fn all_but_some() {
    let all = rule(true, "a", None, None, "");
    let change = lines("c 1:3 rwm\n", &[all.clone(), rule(false, "b", Some(8), Some(0), "w")]);
    assert_eq!((change.denies_all, change.reset.len()), (false, 0));
    assert_eq!((change.allow, change.deny), (vec!["a".to_owned()], vec!["b 8:0 w".to_owned()]));
    // Allowed again, in whole or by a wider rule.
    let change =
        lines(ALL, &[all, rule(false, "b", Some(8), Some(0), "w"), rule(true, "b", Some(8), None, "rw")]);
    assert!(change.deny.is_empty(), "{change:?}");
}

#[test]
fn nonsense_is_refused() {
    let causes = |rule| super::rules(&[rule]).unwrap_err().causes();
    assert_eq!(causes(rule(true, "x", None, None, "r")), ["\"x\" is no kind of device: a, b or c"]);
    assert_eq!(causes(rule(true, "p", Some(8), Some(6), "r")), ["\"p\" is no kind of device: a, b or c"]);
    assert_eq!(causes(rule(true, "c", None, None, "rx")), ["\"rx\" is more than r, w and m"]);
    assert_eq!(causes(rule(true, "c", Some(-7), None, "r")), ["-7 is no device number"]);
    let hole = change(ALL, &super::rules(&list()).unwrap()).unwrap_err();
    assert_eq!(hole.to_string(), "invalid device rule: cannot deny \"b 8:1 r\"");
}

/// The kernel's interpreter, as far as these programs need it.
fn run(program: &[Instruction], context: [u32; 3]) -> u32 {
    let (mut registers, mut at) = ([0u32; 8], 0usize);
    loop {
        let step = program[at];
        at += 1;
        let (to, from) = (usize::from(step.registers & 15), usize::from(step.registers >> 4));
        let value = step.value as u32;
        let jumps = match step.code {
            LOAD_WORD => {
                registers[to] = context[step.offset as usize / 4];
                false
            }
            MOVE => {
                registers[to] = value;
                false
            }
            MOVE_REGISTER => {
                registers[to] = registers[from];
                false
            }
            AND => {
                registers[to] &= value;
                false
            }
            SHIFT_RIGHT => {
                registers[to] >>= value;
                false
            }
            UNLESS_EQUAL => registers[to] != value,
            UNLESS_EQUAL_REGISTER => registers[to] != registers[from],
            IF_EQUAL => registers[to] == value,
            _ => return registers[0],
        };
        if jumps {
            at += step.offset as usize;
        }
    }
}

fn program_of(rules: &[DeviceRule]) -> Vec<Instruction> {
    program(&super::rules(rules).unwrap())
}

#[test]
fn the_program_decides_like_the_list() {
    let program = program_of(&list());
    let (make, read, write) = (1, 2, 4);
    let (block, char) = (1, 2);
    let may = |access: u32, kind: u32, major, minor| run(&program, [access << 16 | kind, major, minor]) == 1;
    assert!(may(read | write, char, 10, 229) && !may(read | write | make, char, 11, 229));
    assert!(may(read, block, 8, 0) && !may(write, block, 8, 0) && !may(read | write, block, 8, 0));
    assert!(!may(read, block, 8, 1));
    assert!(may(make, block, 8, 1), "nodes may be made");
    assert!(may(read | write, char, 1, 3) && may(read, char, 136, 77), "defaults");
    assert!(!may(read, char, 1, 11) && !may(read, char, 10, 228));
    let one = program_of(&[rule(true, "a", Some(1), Some(11), "r")]);
    assert_eq!(run(&one, [2 << 16 | 2, 1, 11]), 1);
    assert_eq!(run(&one, [2 << 16 | 1, 1, 11]), 1, "both kinds");
    assert_eq!(run(&one, [2 << 16 | 2, 4, 4]), 0, "what is not named is denied");
    let all = program_of(&[rule(true, "a", None, None, "rwm"), rule(false, "b", Some(8), None, "w")]);
    assert_eq!(
        [run(&all, [4 << 16 | 1, 8, 3]), run(&all, [2 << 16 | 1, 8, 3]), run(&all, [4 << 16 | 1, 9, 3])],
        [0, 1, 1]
    );
}

/// The kernel's version 1 controller, as far as whole lines go: allowed where an exception of a group that denies has all that is
/// wanted, or none of a group that allows has any of it.
fn apply(change: &Change) -> (bool, Vec<(char, String, String, String)>) {
    let (mut all, mut exceptions) = (true, Vec::new());
    for (line, allow) in change
        .reset
        .iter()
        .map(|line| (line, false))
        .chain(change.allow.iter().map(|line| (line, true)))
        .chain(change.deny.iter().map(|line| (line, false)))
    {
        if line == "a" {
            (all, exceptions) = (allow, Vec::new());
            continue;
        }
        let words: Vec<_> = line.split([' ', ':']).map(str::to_owned).collect();
        assert_ne!(all, allow, "{change:?}");
        exceptions.push((line.chars().next().unwrap(), words[1].clone(), words[2].clone(), words[3].clone()));
    }
    (all, exceptions)
}

fn allowed(
    state: &(bool, Vec<(char, String, String, String)>),
    kind: char,
    major: u32,
    minor: u32,
    right: char,
) -> bool {
    let number = |text: &str, number: u32| text == "*" || text == number.to_string();
    let excepted = state
        .1
        .iter()
        .any(|own| own.0 == kind && number(&own.1, major) && number(&own.2, minor) && own.3.contains(right));
    excepted != state.0
}

fn any_rule() -> impl Strategy<Value = DeviceRule> {
    let number = || prop_oneof![Just(None), (0i64..3).prop_map(Some)];
    let kind = prop_oneof![Just("a"), Just("b"), Just("c")];
    let access = prop_oneof![Just("r"), Just("rw"), Just("rwm"), Just("w")];
    (any::<bool>(), kind, number(), number(), access)
        .prop_map(|(allow, kind, major, minor, access)| rule(allow, kind, major, minor, access))
}

proptest! {
    /// Both versions say the same of every device.
    #[test]
    fn lines_and_program_agree(list in proptest::collection::vec(any_rule(), 0..6)) {
        let rules = super::rules(&list).unwrap();
        let program = program(&rules);
        let Ok(change) = change(ALL, &rules) else { return Ok(()) };
        let state = apply(&change);
        for (kind, number) in [('b', 1), ('c', 2)] {
            for (right, bit) in [('r', 2u32), ('w', 4), ('m', 1)] {
                for (major, minor) in [(0, 0), (0, 1), (1, 0), (1, 2), (2, 2), (7, 7)] {
                    let by_program = run(&program, [bit << 16 | number, major, minor]) == 1;
                    prop_assert_eq!(by_program, allowed(&state, kind, major, minor, right), "{} {}:{} {}", kind, major, minor, right);
                }
            }
        }
    }
}
