//! Every package's licence is one that `deny.toml` allows. Needs no network, unlike cargo-deny, which reads the same file.

use super::graph::Graph;
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The part of cargo-deny's configuration that is used here.
#[derive(Deserialize)]
struct Policy {
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    #[serde(default)]
    deny: Vec<Banned>,
    #[serde(default)]
    skip: Vec<Banned>,
}

#[derive(Deserialize)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
}

/// Packages with no allowed licence, banned packages, and packages in several versions that are not excepted.
pub(super) fn check(graph: &Graph, policy: &str) -> Result<Vec<String>> {
    let policy: Policy = toml::from_str(policy).context("cannot read deny.toml")?;
    let mut violations = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in graph.packages() {
        versions.entry(&package.name).or_default().push(&package.version);
        let licence = package.license.as_deref().unwrap_or("none");
        if !allowed(licence, &policy.licenses.allow) {
            violations.push(format!(
                "package `{}` has licence `{licence}`, which deny.toml does not allow",
                package.name
            ));
        }
        if policy.bans.deny.iter().any(|banned| banned.name == package.name) {
            violations.push(format!("package `{}` is banned by deny.toml", package.name));
        }
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        if !policy.bans.skip.iter().any(|skipped| skipped.name.split('@').next() == Some(name)) {
            violations.push(format!(
                "package `{name}` comes in {}: except it in deny.toml or end it",
                versions.join(", ")
            ));
        }
    }
    Ok(violations)
}

/// Whether an SPDX expression can be met with these licences: every operand of an AND, one of an OR. AND binds closer;
/// parentheses are followed.
fn allowed(expression: &str, allow: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    either(&mut words, allow)
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>, allow: &[String]) -> bool {
    let mut met = all(words, allow);
    while words.next_if_eq(&"OR").is_some() {
        met |= all(words, allow);
    }
    met
}

fn all(words: &mut Words<'_>, allow: &[String]) -> bool {
    let mut met = one(words, allow);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allow);
    }
    met
}

fn one(words: &mut Words<'_>, allow: &[String]) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let met = either(words, allow);
        return words.next_if_eq(&")").is_some() && met;
    }
    let Some(name) = words.next() else { return false };
    let mut name = name.to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        name = format!("{name} WITH {}", words.next().unwrap_or_default());
    }
    allow.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::super::graph::graph;
    use super::*;

    fn allow() -> Vec<String> {
        ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).to_vec()
    }

    #[test]
    fn expressions_are_met_as_spdx_says() {
        for met in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT/Apache-2.0",
            "(MIT OR BSD-1) AND Apache-2.0",
            "GPL-2.0 OR (MIT AND Apache-2.0)",
        ] {
            assert!(allowed(met, &allow()), "{met}");
        }
        assert!(allowed("Apache-2.0 WITH LLVM-exception", &allow()));
        for unmet in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "none",
            "",
            "MIT WITH something",
            "(MIT",
            "GPL-2.0 OR MIT AND GPL-2.0",
        ] {
            assert!(!allowed(unmet, &allow()), "{unmet}");
        }
    }

    #[test]
    fn a_foreign_licence_and_a_banned_package_are_named() {
        let graph = graph(&[("sampan-types", &["openssl"])]);
        let policy = "[licenses]\nallow = [\"Apache-2.0\"]\n[bans]\ndeny = [{ crate = \"openssl\" }]";
        assert_eq!(
            check(&graph, policy).unwrap(),
            [
                "package `openssl` has licence `MIT`, which deny.toml does not allow",
                "package `openssl` is banned by deny.toml",
                "package `sampan-types` has licence `MIT`, which deny.toml does not allow",
            ]
        );
    }
}
