//! Tests on this machine.

use super::{Built, call, doc_tests, scope};
use crate::outcome::Outcome;
use crate::run;
use crate::steps::Steps;
use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// Unit and integration tests of all crates, one program after the other, and the examples in their documentation.
pub(super) fn tests(steps: &mut Steps, built: &Built, filter: Option<&str>) -> Result<Outcome> {
    let mut all = Outcome::default();
    let run_all = || {
        for test in &built.tests {
            let scope = scope(test);
            let mut outcome = counted(&scope, &mut call(test, filter))?;
            for name in outcome.to_run_again(&scope) {
                outcome.settle(counted(&scope, call(test, None).arg("--exact").arg(name))?);
            }
            // Those that take minutes are ignored by a plain `cargo test`; here everything runs.
            let left_out = outcome.take_left_out(&scope);
            if !left_out.is_empty() {
                outcome += counted(&scope, call(test, None).args(["--ignored", "--exact"]).args(left_out))?;
            }
            all += outcome;
        }
        let (output, succeeded) = doc_tests(filter)?;
        let mut examples = Outcome::of("documentation", &output);
        if succeeded {
            // Cargo says nothing of a result where there is no example at all.
            examples.failed.clear();
        }
        all += examples;
        Ok(())
    };
    steps.step("tests of the crates", run_all, |()| String::new())?;
    steps.conclude(&all);
    Ok(all)
}

/// Runs a test program and counts; what it said is shown if a test failed.
fn counted(scope: &str, command: &mut Command) -> Result<Outcome> {
    let output = hear(command, false)?;
    let outcome = Outcome::of(scope, &output);
    if !outcome.failed.is_empty() {
        println!("--- {scope}\n{output}");
    }
    Ok(outcome)
}

/// The end-to-end suite.
pub(super) fn e2e(steps: &mut Steps, built: &Built, filter: Option<&str>) -> Result<Outcome> {
    let skips = tempfile::NamedTempFile::new().context("cannot create a list of skipped tests")?;
    let run_suite = || {
        let suite = |words: &[&str]| {
            let mut command = call(&built.e2e, None);
            command
                .env("SAMPAN_BIN", &built.sampan)
                .env("SAMPAN_TEST_IMAGES", &built.images)
                .env("SAMPAN_TEST_SKIPS", skips.path())
                .env("SAMPAN_LANE", "host")
                .args(words);
            hear(&mut command, true).map(|output| Outcome::of("e2e", &output))
        };
        let words: Vec<&str> = filter.into_iter().chain(["--test-threads", "4"]).collect();
        let mut outcome = suite(&words)?;
        for name in outcome.to_run_again("e2e") {
            outcome.settle(suite(&["--exact", &name])?);
        }
        outcome.note_skips("e2e", &std::fs::read_to_string(skips.path()).unwrap_or_default());
        Ok(outcome)
    };
    let outcome = steps.step("end to end on this host", run_suite, Outcome::short)?;
    steps.conclude(&outcome);
    Ok(outcome)
}

/// Runs a test program and gives its standard output; with `show` its lines appear as they come. That it fails is seen
/// from what it says.
fn hear(command: &mut Command, show: bool) -> Result<String> {
    let what = run::shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{what}`"))?;
    let mut reader = BufReader::new(child.stdout.take().context("the test's output is not a pipe")?);
    let mut all = String::new();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).with_context(|| format!("cannot read from `{what}`"))? > 0 {
        let text = String::from_utf8_lossy(&line);
        if show {
            print!("{text}");
        }
        all += &text;
        line.clear();
    }
    child.wait().with_context(|| format!("cannot wait for `{what}`"))?;
    Ok(all)
}
