//! `tests/oci-behind.txt`: the cases that our runtime is known not to pass, each with its reason.

use super::Verdicts;
use crate::repo;
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;

/// Cases and the reasons why ours does not pass them.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    pub(crate) reasons: BTreeMap<String, String>,
}

impl Behind {
    /// Reads the list.
    pub(crate) fn read() -> Result<Self> {
        let path = repo::root().join("tests/oci-behind.txt");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text)
    }

    /// Lines of `area::case  reason`; `#` begins a comment.
    fn parse(text: &str) -> Result<Self> {
        let mut reasons = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some((name, reason)) = line.split_once(char::is_whitespace) else {
                bail!("tests/oci-behind.txt gives no reason for {line}");
            };
            reasons.insert(name.to_owned(), reason.trim().to_owned());
        }
        Ok(Self { reasons })
    }

    /// What is wrong with a run of ours: a case that fails and is not listed, and one that is listed and passes.
    pub(crate) fn complaints(&self, ours: &Verdicts) -> Vec<String> {
        let unlisted = ours.failed.iter().filter(|name| !self.reasons.contains_key(*name));
        let stale = ours.passed.iter().filter(|name| self.reasons.contains_key(*name));
        unlisted
            .map(|name| format!("oci::{name}"))
            .chain(stale.map(|name| format!("oci::{name} (passes: take it out of tests/oci-behind.txt)")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_unlisted_and_what_passes_though_listed_are_both_wrong() {
        let behind = Behind::parse("# why\na::x  no kernel has it\na::y  later\n").unwrap();
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        let ours = Verdicts {
            passed: names(&["a::y", "a::z"]),
            failed: names(&["a::x", "b::w"]),
            ..Verdicts::default()
        };
        assert_eq!(
            behind.complaints(&ours),
            ["oci::b::w", "oci::a::y (passes: take it out of tests/oci-behind.txt)"]
        );
    }

    #[test]
    fn a_case_without_a_reason_is_refused() {
        assert!(Behind::parse("a::x\n").unwrap_err().to_string().contains("gives no reason for a::x"));
    }
}
