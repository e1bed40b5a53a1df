//! `cargo xtask tidy`: the rules that the compiler does not know.

mod advisories;
mod edges;
mod graph;
mod licences;
mod sources;

use crate::{artifacts, repo, run};
use anyhow::{Context as _, Result, bail};
use graph::Graph;

/// Packages for other systems never get into a program of ours.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Checks every rule and names each violation. Gives the exit code 0, or fails with the count.
pub(crate) fn run() -> Result<u8> {
    let violations = violations()?;
    for violation in &violations {
        eprintln!("tidy: {violation}");
    }
    if !violations.is_empty() {
        bail!("{} violations of the rules in ARCHITECTURE.md", violations.len());
    }
    println!("tidy: crate edges, closures, sources and licences keep the rules");
    println!("tidy: {}", advisories::check()?);
    Ok(0)
}

/// All that breaks a rule, each as one line that names the place and the rule.
fn violations() -> Result<Vec<String>> {
    let said = run::stdout(artifacts::cargo().args([
        "metadata",
        "--format-version=1",
        "--filter-platform",
        PLATFORM,
    ]))?;
    let graph = Graph::parse(&said)?;
    let policy = std::fs::read_to_string(repo::root().join("deny.toml")).context("cannot read deny.toml")?;
    let mut violations = edges::check(&graph);
    violations.extend(licences::check(&graph, &policy)?);
    violations.extend(sources::check(repo::root())?);
    Ok(violations)
}
