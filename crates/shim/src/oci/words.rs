//! The words of a command line by the rules of Go's `flag` package, as callers of runc know them: `-name` is `--name`, a value follows
//! or is joined by `=`, a switch takes one only joined, `--` ends the options.

use super::duration;

/// One option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    /// A single letter for it.
    pub(super) short: Option<&'static str>,
    pub(super) kind: Kind,
    /// What it is without being given, as the help shows it.
    pub(super) default: Option<&'static str>,
    pub(super) help: &'static str,
    /// Kept for callers that still give it, not shown.
    pub(super) hidden: bool,
}

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing, or `=true` and `=false`.
    Switch,
    /// Text; the last one counts.
    Text,
    /// Texts, as often as it is given.
    List,
    /// An integer in Go's notation.
    Integer,
    /// Integers, as often as it is given.
    Integers,
    /// A time in Go's notation (`100ms`).
    Duration,
}

impl Flag {
    pub(super) const fn new(kind: Kind, name: &'static str, help: &'static str) -> Self {
        Self { name, short: None, kind, default: None, help, hidden: false }
    }

    pub(super) const fn switch(name: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Switch, name, help)
    }

    pub(super) const fn text(name: &'static str, help: &'static str) -> Self {
        Self::new(Kind::Text, name, help)
    }

    pub(super) const fn short(self, short: &'static str) -> Self {
        Self { short: Some(short), ..self }
    }

    pub(super) const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    pub(super) const fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    fn is(&self, name: &str) -> bool {
        self.name == name || self.short == Some(name)
    }
}

/// Where options may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Before the first argument: what follows it belongs to somebody else.
    First,
    /// Anywhere.
    Anywhere,
}

/// What was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    given: Vec<(&'static str, String)>,
    pub(super) arguments: Vec<String>,
    /// The help was asked for.
    pub(super) help: bool,
}

impl Words {
    /// Sorts words into options and arguments. The error is Go's sentence.
    pub(super) fn parse(flags: &[Flag], order: Order, words: &[String]) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                parsed.arguments.extend(rest.cloned());
                break;
            }
            if !word.starts_with('-') || word == "-" {
                parsed.arguments.push(word.clone());
                if order == Order::First {
                    parsed.arguments.extend(rest.cloned());
                    break;
                }
                continue;
            }
            let bare = word.strip_prefix("--").unwrap_or(&word[1..]);
            if bare.is_empty() || bare.starts_with(['-', '=']) {
                return Err(format!("bad flag syntax: {word}"));
            }
            let (name, joined) = match bare.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (bare, None),
            };
            match flags.iter().find(|flag| flag.is(name)) {
                Some(flag) => parsed.take(flag, name, joined, || rest.next())?,
                None if matches!(name, "help" | "h") => parsed.help = true,
                // After the id it may be an argument that only looks like an option.
                None if !parsed.arguments.is_empty() => parsed.arguments.push(word.clone()),
                None => return Err(format!("flag provided but not defined: -{name}")),
            }
        }
        Ok(parsed)
    }

    fn take<'a>(
        &mut self,
        flag: &Flag,
        name: &str,
        joined: Option<&str>,
        next: impl FnOnce() -> Option<&'a String>,
    ) -> Result<(), String> {
        if flag.kind == Kind::Switch {
            let text = joined.unwrap_or("true");
            let value = boolean(text)
                .ok_or_else(|| format!("invalid boolean value {text:?} for -{name}: parse error"))?;
            self.given.push((flag.name, value.to_string()));
            return Ok(());
        }
        let value = match joined {
            Some(value) => value.to_owned(),
            None => next().cloned().ok_or_else(|| format!("flag needs an argument: -{name}"))?,
        };
        let understood = match flag.kind {
            Kind::Integer | Kind::Integers => integer(&value).is_some(),
            Kind::Duration => duration::parse(&value).is_some(),
            Kind::Switch | Kind::Text | Kind::List => true,
        };
        if !understood {
            return Err(format!("invalid value {value:?} for flag -{name}: parse error"));
        }
        self.given.push((flag.name, value));
        Ok(())
    }

    /// An option's last value; an empty one counts as not given.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.last(name).filter(|value| !value.is_empty())
    }

    /// Whether an option was given at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.last(name).is_some()
    }

    fn last(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// Whether a switch is on.
    pub(super) fn switch(&self, name: &str) -> bool {
        self.last(name) == Some("true")
    }

    /// Every value of an option, in the order given.
    pub(super) fn all<'a>(&'a self, name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.given.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// An integer's last value.
    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.last(name).and_then(integer)
    }

    /// A time's last value.
    pub(super) fn duration(&self, name: &str) -> Option<std::time::Duration> {
        self.last(name).and_then(duration::parse)
    }

    /// The container, which is the first argument.
    pub(super) fn id(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }
}

/// As `strconv.ParseBool`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// As `strconv.ParseInt` with base 0: decimal, or by its prefix.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = match lower.get(..2) {
        Some("0x") => (&lower[2..], 16),
        Some("0o") => (&lower[2..], 8),
        Some("0b") => (&lower[2..], 2),
        Some(two) if two.starts_with('0') => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    if !digits.starts_with(|first: char| first.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -value } else { value }).ok()
}

#[cfg(test)]
mod tests;
