//! Device rules of the version 1 controller (kernel: admin-guide/cgroup-v1/devices.rst).

use sampan_types::spec::DeviceRule;

/// What every container may use: the devices that the specification has it find in `/dev`, terminals, and making nodes
/// (a node that must not be used can be made; opening it is what is refused).
const DEFAULT: [&str; 11] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

/// The writes that make a list of rules: file and line, in order. None where the list is empty: then devices are not
/// restricted.
pub(super) fn rules(list: &[DeviceRule]) -> Vec<(&'static str, String)> {
    if list.is_empty() {
        return Vec::new();
    }
    let own = list.iter().map(|rule| {
        let file = if rule.allow { "devices.allow" } else { "devices.deny" };
        let kind = rule.kind.as_deref().unwrap_or("a");
        if kind == "a" {
            return (file, "a".to_owned());
        }
        let number =
            |number: Option<i64>| number.filter(|n| *n >= 0).map_or("*".to_owned(), |n| n.to_string());
        let access = rule.access.as_deref().filter(|access| !access.is_empty()).unwrap_or("rwm");
        (file, format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor)))
    });
    own.chain(DEFAULT.iter().map(|rule| ("devices.allow", (*rule).to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_become_lines_and_defaults_follow() {
        let deny_all = DeviceRule::default();
        let fuse = DeviceRule {
            allow: true,
            kind: Some("c".into()),
            major: Some(10),
            minor: Some(229),
            access: Some("rw".into()),
        };
        let disks =
            DeviceRule { kind: Some("b".into()), major: Some(8), minor: Some(-1), ..DeviceRule::default() };
        let rules = rules(&[deny_all, fuse, disks]);
        assert_eq!(rules[0], ("devices.deny", "a".to_owned()));
        assert_eq!(rules[1], ("devices.allow", "c 10:229 rw".to_owned()));
        assert_eq!(rules[2], ("devices.deny", "b 8:* rwm".to_owned()));
        assert!(rules[3..].contains(&("devices.allow", "c 1:3 rwm".to_owned())));
        assert!(super::rules(&[]).is_empty());
    }
}
