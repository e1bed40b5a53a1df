//! One run of the suite on one runtime.

use crate::artifacts::Artifact;
use crate::outcome::Outcome;
use crate::repo;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// How each case ended, by its name (`area::case`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdicts {
    pub(crate) passed: BTreeSet<String>,
    pub(crate) failed: BTreeSet<String>,
    /// With the reason.
    pub(crate) skipped: BTreeMap<String, String>,
    /// Those that passed only when they were run again alone.
    pub(crate) flaky: BTreeSet<String>,
}

/// How many cases run at once.
const THREADS: &str = "4";

/// Runs all cases, then those that failed once more, one after the other: a loaded machine is no failure of the runtime.
pub(super) fn run(
    suite: &Artifact,
    words: &str,
    kind: &str,
    criu: &Path,
    filter: Option<&str>,
) -> Result<Verdicts> {
    println!("conformance: {kind} …");
    let skips = tempfile::NamedTempFile::new().context("cannot create a list of skipped cases")?;
    let call = || {
        let mut command = Command::new(&suite.path);
        command
            .current_dir(suite.manifest.parent().unwrap_or(repo::root()))
            .env("SAMPAN_OCI_RUNTIME", words)
            .env("SAMPAN_OCI_KIND", kind)
            .env("SAMPAN_TEST_CRIU", criu)
            .env("SAMPAN_LANE", "host")
            .env("SAMPAN_TEST_SKIPS", skips.path());
        command
    };
    let (outcome, said) = hear(call().args(filter).args(["--test-threads", THREADS]))?;
    let mut verdicts = Verdicts::of(outcome, &std::fs::read_to_string(skips.path()).unwrap_or_default());
    let again: Vec<String> = verdicts.failed.iter().filter(|name| name.contains("::")).cloned().collect();
    if !again.is_empty() {
        let (outcome, said) = hear(call().args(["--test-threads", "1", "--exact"]).args(&again))?;
        verdicts.again(&Verdicts::of(outcome, ""));
        if kind == "sampan" && !verdicts.failed.is_empty() {
            println!("{said}");
        }
    } else if !verdicts.failed.is_empty() {
        println!("{said}");
    }
    println!("conformance: {kind}: {}", verdicts.short());
    Ok(verdicts)
}

impl Verdicts {
    /// Reads what the suite printed, and its list of skipped cases.
    pub(crate) fn of(outcome: Outcome, skips: &str) -> Self {
        let name = |test: &String| test.strip_prefix("oci::").unwrap_or(test).to_owned();
        let mut verdicts = Self {
            passed: outcome.passed.iter().map(name).collect(),
            failed: outcome.failed.iter().map(name).collect(),
            ..Self::default()
        };
        for (case, reason) in skips.lines().filter_map(|line| line.split_once('\t')) {
            if verdicts.passed.remove(case) {
                verdicts.skipped.insert(case.to_owned(), reason.to_owned());
            }
        }
        verdicts
    }

    /// Takes over what a second run of the failed ones found.
    fn again(&mut self, second: &Self) {
        for name in &second.passed {
            if self.failed.remove(name) {
                self.passed.insert(name.clone());
                self.flaky.insert(name.clone());
            }
        }
    }

    /// The same as an outcome of tests, with `scope` before each name.
    pub(crate) fn outcome(&self, scope: &str) -> Outcome {
        let names = |set: &BTreeSet<String>| set.iter().map(|name| format!("{scope}::{name}")).collect();
        let skipped = self.skipped.iter().map(|(name, reason)| (format!("{scope}::{name}"), reason.clone()));
        Outcome {
            passed: names(&self.passed),
            failed: names(&self.failed),
            skipped: skipped.collect(),
            flaky: names(&self.flaky),
        }
    }

    /// One line about it.
    pub(crate) fn short(&self) -> String {
        let flaky = self.flaky.iter().cloned().collect::<Vec<_>>().join(", ");
        let tail = if flaky.is_empty() { String::new() } else { format!("; flaky: {flaky}") };
        format!(
            "{} passed, {} failed, {} skipped{tail}",
            self.passed.len(),
            self.failed.len(),
            self.skipped.len()
        )
    }

    /// Every case that was run or skipped.
    pub(crate) fn names(&self) -> BTreeSet<&String> {
        self.passed.iter().chain(&self.failed).chain(self.skipped.keys()).collect()
    }
}

/// Runs the suite's program; gives what it found, and all it said.
fn hear(command: &mut Command) -> Result<(Outcome, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run the conformance suite")?;
    let mut reader = BufReader::new(child.stdout.take().context("the suite's output is not a pipe")?);
    let mut said = String::new();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).context("cannot read from the conformance suite")? > 0 {
        said += &String::from_utf8_lossy(&line);
        line.clear();
    }
    child.wait().context("cannot wait for the conformance suite")?;
    Ok((Outcome::of("oci", &said), said))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(output: &str, skips: &str) -> Verdicts {
        Verdicts::of(Outcome::of("oci", &format!("{output}test result: FAILED.\n")), skips)
    }

    #[test]
    fn a_case_that_passes_alone_is_flaky_and_not_failed() {
        let mut first =
            verdicts("test a::x ... FAILED\ntest a::y ... FAILED\ntest a::z ... ok\n", "a::z\tno v2\n");
        first.again(&verdicts("test a::x ... ok\ntest a::y ... FAILED\n", ""));
        assert_eq!(first.short(), "1 passed, 1 failed, 1 skipped; flaky: a::x");
        assert_eq!(first.names().len(), 3);
    }
}
