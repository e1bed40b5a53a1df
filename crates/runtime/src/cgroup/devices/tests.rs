use super::*;

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

#[test]
fn rules_become_lines_and_defaults_follow() {
    let lines = lines(&list()).unwrap();
    let expected = [
        ("devices.deny", "a"),
        ("devices.allow", "c 10:229 rw"),
        ("devices.allow", "b 8:* r"),
        ("devices.deny", "b 8:1 r"),
    ];
    assert_eq!(lines[..4], expected.map(|(file, line)| (file, line.to_owned())));
    assert!(lines[4..].contains(&("devices.allow", "c 1:3 rwm".to_owned())));
    assert!(super::lines(&[]).unwrap().is_empty());
}

#[test]
fn nonsense_is_refused() {
    let kind = lines(&[rule(true, "x", None, None, "r")]).unwrap_err();
    assert_eq!(kind.causes(), ["\"x\" is no kind of device: a, b or c"]);
    let access = program(&[rule(true, "c", None, None, "rx")]).unwrap_err();
    assert_eq!(access.causes(), ["\"rx\" is more than r, w and m"]);
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

#[test]
fn the_program_decides_like_the_lines() {
    let program = program(&list()).unwrap().unwrap();
    let (make, read, write) = (1, 2, 4);
    let (block, char) = (1, 2);
    let may = |access: u32, kind: u32, major, minor| run(&program, [access << 16 | kind, major, minor]) == 1;
    assert!(may(read | write, char, 10, 229) && !may(read | write | make, char, 10, 229));
    assert!(may(read, block, 8, 0) && !may(write, block, 8, 0) && !may(read | write, block, 8, 0));
    assert!(!may(read, block, 8, 1));
    assert!(may(make, block, 8, 1), "nodes may be made");
    assert!(may(read | write, char, 1, 3) && may(read, char, 136, 77), "defaults");
    assert!(!may(read, char, 1, 11) && !may(read, char, 10, 228));
    assert_eq!(super::program(&[]).unwrap(), None);
    let one = super::program(&[rule(false, "c", Some(1), Some(11), "rwm")]).unwrap().unwrap();
    assert_eq!(run(&one, [2 << 16 | 2, 4, 4]), 1, "without a rule for all, what is not named is allowed");
}
