//! Rules as lines for the version 1 controller (kernel: admin-guide/cgroup-v1/devices.rst).
//!
//! A group of it either allows all but its exceptions, or denies all but them. What is in force is read, and only the
//! difference is written, what is allowed before what is denied: processes that run meanwhile never lose what they keep.

use super::{Access, Rule};
use crate::error::invalid;
use sampan_types::Result;

/// What a group's devices are: a default, and exceptions from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    allows_all: bool,
    exceptions: Vec<Exception>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exception {
    kind: char,
    major: Option<u32>,
    minor: Option<u32>,
    access: Access,
}

/// The way from one state to another.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Whether everything is denied for a moment in between: the kernel knows no other way from a group that allows all to
    /// one that does not.
    pub(crate) denies_all: bool,
    /// Lines of `devices.deny` to be written first.
    pub(crate) reset: Vec<String>,
    /// Lines of `devices.allow`.
    pub(crate) allow: Vec<String>,
    /// Lines of `devices.deny` to be written last.
    pub(crate) deny: Vec<String>,
}

/// What `devices.list` says of a group without restrictions.
pub(crate) const EVERYTHING: &str = "a *:* rwm";

/// What makes rules be in force; `list` is what the group's `devices.list` says.
pub(crate) fn change(list: &str, rules: &[Rule]) -> Result<Change> {
    let (old, new) = (State::parse(list), State::of(rules)?);
    let mut change = Change::default();
    if new.allows_all {
        // What a group that allows all excepts is not shown; allowing all anew forgets it.
        change.allow = vec!["a".to_owned()];
        change.deny = new.exceptions.iter().map(Exception::line).collect();
        return Ok(change);
    }
    let kept = if old.allows_all { &[][..] } else { &old.exceptions };
    if old.allows_all {
        change.denies_all = true;
        change.reset.push("a".to_owned());
    }
    change.allow = new.exceptions.iter().filter_map(|own| own.without(kept)).map(|own| own.line()).collect();
    change.deny = kept.iter().filter_map(|own| own.without(&new.exceptions)).map(|own| own.line()).collect();
    Ok(change)
}

impl State {
    fn parse(list: &str) -> Self {
        let mut state = Self::default();
        for line in list.lines() {
            let mut words = line.split([' ', ':']);
            let kind = words.next().and_then(|kind| kind.chars().next());
            let mut number = || words.next().and_then(|number| number.parse().ok());
            let (major, minor) = (number(), number());
            match (kind, words.next().and_then(Access::parse)) {
                (Some('a'), _) => state.allows_all = true,
                (Some(kind), Some(access)) => {
                    state.exceptions.push(Exception { kind, major, minor, access });
                }
                _ => {}
            }
        }
        state
    }

    fn of(rules: &[Rule]) -> Result<Self> {
        let mut state = Self::default();
        for rule in rules {
            let Some(kind) = rule.kind else {
                state = Self { allows_all: rule.allow, exceptions: Vec::new() };
                continue;
            };
            let exception = Exception { kind, major: rule.major, minor: rule.minor, access: rule.access };
            if rule.allow == state.allows_all { state.remove(&exception)? } else { state.add(exception) }
        }
        Ok(state)
    }

    fn add(&mut self, new: Exception) {
        match self.exceptions.iter_mut().find(|own| own.names(&new)) {
            Some(own) => own.access.0 |= new.access.0,
            None => self.exceptions.push(new),
        }
    }

    /// Takes rights from all exceptions that a rule covers. A part of an exception's devices cannot be taken from it.
    fn remove(&mut self, rule: &Exception) -> Result<()> {
        let [verb, verbs] = if self.allows_all { ["allow", "denies"] } else { ["deny", "allows"] };
        for own in &mut self.exceptions {
            if rule.covers(own) {
                own.access.0 &= !rule.access.0;
            } else if own.meets(rule) && own.access.0 & rule.access.0 != 0 {
                return Err(invalid(
                    format!("invalid device rule: cannot {verb} \"{}\"", rule.line()),
                    format!(
                        "cgroup v1 cannot make a hole in \"{}\", which an earlier rule {verbs}",
                        own.line()
                    ),
                ));
            }
        }
        self.exceptions.retain(|own| own.access.0 != 0);
        Ok(())
    }
}

impl Exception {
    fn names(&self, other: &Self) -> bool {
        (self.kind, self.major, self.minor) == (other.kind, other.major, other.minor)
    }

    fn covers(&self, other: &Self) -> bool {
        let number = |own: Option<u32>, other| own.is_none() || own == other;
        self.kind == other.kind && number(self.major, other.major) && number(self.minor, other.minor)
    }

    fn meets(&self, other: &Self) -> bool {
        let number = |own: Option<u32>, other: Option<u32>| own.is_none() || other.is_none() || own == other;
        self.kind == other.kind && number(self.major, other.major) && number(self.minor, other.minor)
    }

    /// The rights that an exception of the same devices in `others` does not have.
    fn without(&self, others: &[Self]) -> Option<Self> {
        let others = others.iter().filter(|other| other.names(self));
        let access = others.fold(self.access.0, |access, other| access & !other.access.0);
        (access != 0).then_some(Self { access: Access(access), ..*self })
    }

    fn line(&self) -> String {
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        format!("{} {}:{} {}", self.kind, number(self.major), number(self.minor), self.access)
    }
}
