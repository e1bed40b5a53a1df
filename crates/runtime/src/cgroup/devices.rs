//! Which devices a container may use: rules, as lines for the version 1 controller (`lines`) and as a program for version 2
//! (`program`).

mod lines;
mod program;

pub(super) use lines::{Change, EVERYTHING, change};
pub(super) use program::program;

use crate::error::invalid;
use sampan_types::{Result, spec::DeviceRule};
use std::fmt;

/// What every container may use: the devices that the specification has it find in `/dev`, terminals, and making nodes
/// (a node that must not be used can be made; opening it is what is refused).
const DEFAULT: [(char, Option<u32>, Option<u32>, Access); 10] = [
    ('c', None, None, Access::MAKE),
    ('b', None, None, Access::MAKE),
    ('c', Some(1), Some(3), Access::ALL),
    ('c', Some(1), Some(5), Access::ALL),
    ('c', Some(1), Some(7), Access::ALL),
    ('c', Some(1), Some(8), Access::ALL),
    ('c', Some(1), Some(9), Access::ALL),
    ('c', Some(5), Some(0), Access::ALL),
    ('c', Some(5), Some(2), Access::ALL),
    ('c', Some(136), None, Access::ALL),
];

/// Rights, as the kernel's bits (linux/bpf.h, `BPF_DEVCG_ACC_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access(u8);

impl Access {
    pub(super) const MAKE: Self = Self(1);
    pub(super) const ALL: Self = Self(7);
    const LETTERS: [(char, u8); 3] = [('r', 2), ('w', 4), ('m', 1)];

    fn parse(text: &str) -> Option<Self> {
        text.chars()
            .try_fold(0, |all, letter| {
                Self::LETTERS.iter().find(|own| own.0 == letter).map(|own| all | own.1)
            })
            .map(Self)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::LETTERS.iter().filter(|own| self.0 & own.1 != 0).try_for_each(|own| write!(f, "{}", own.0))
    }
}

/// One rule, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) allow: bool,
    /// `None` is every kind; then numbers and access are all.
    pub(super) kind: Option<char>,
    /// `None` is every number.
    pub(super) major: Option<u32>,
    pub(super) minor: Option<u32>,
    pub(super) access: Access,
}

impl Rule {
    /// Whether it is about every device and every right, so that nothing before it matters.
    pub(super) fn is_everything(&self) -> bool {
        self.kind.is_none()
    }
}

/// The rules that a list comes to: all is denied, then the list in its order, then the defaults.
pub(super) fn rules(list: &[DeviceRule]) -> Result<Vec<Rule>> {
    let mut rules = Vec::with_capacity(list.len() + DEFAULT.len() + 1);
    rules.push(everything(false));
    for rule in list {
        parse(rule, &mut rules)?;
    }
    if let Some(last) = rules.iter().rposition(Rule::is_everything) {
        rules.drain(..last);
    }
    let default = DEFAULT.iter().map(|&(kind, major, minor, access)| Rule {
        allow: true,
        kind: Some(kind),
        major,
        minor,
        access,
    });
    rules.extend(default);
    Ok(rules)
}

fn everything(allow: bool) -> Rule {
    Rule { allow, kind: None, major: None, minor: None, access: Access::ALL }
}

fn parse(rule: &DeviceRule, rules: &mut Vec<Rule>) -> Result<()> {
    let kinds: &[char] = match rule.kind.as_deref() {
        None | Some("a" | "") => &['c', 'b'],
        Some("c" | "u") => &['c'],
        Some("b") => &['b'],
        Some(kind) => {
            return Err(invalid("invalid device rule", format!("{kind:?} is no kind of device: a, b or c")));
        }
    };
    let given = rule.access.as_deref().filter(|access| !access.is_empty());
    let Some(access) = given.map_or(Some(Access::ALL), Access::parse) else {
        let given = given.unwrap_or_default();
        return Err(invalid("invalid device rule", format!("{given:?} is more than r, w and m")));
    };
    let number = |number: Option<i64>| match number {
        // -1 is the specification's word for all.
        None | Some(-1) => Ok(None),
        Some(number) => match u32::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(invalid("invalid device rule", format!("{number} is no device number"))),
        },
    };
    let (major, minor) = (number(rule.major)?, number(rule.minor)?);
    if kinds.len() > 1 && major.is_none() && minor.is_none() && access == Access::ALL {
        rules.push(everything(rule.allow));
    } else {
        // Neither version knows less than everything of both kinds.
        let allow = rule.allow;
        rules.extend(kinds.iter().map(|&kind| Rule { allow, kind: Some(kind), major, minor, access }));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
