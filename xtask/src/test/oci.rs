//! The conformance suite of the OCI runtime: on this host beside runc and crun, and what its outcome means for ours.

use super::Built;
use crate::conformance::{self, Behind};
use crate::outcome::Outcome;
use crate::steps::Steps;
use anyhow::{Context as _, Result};

/// The name before each case.
pub(super) const SCOPE: &str = "oci";

/// Runs the suite on all three runtimes, shows their table, and gives the outcome of ours.
pub(super) fn on_host(steps: &mut Steps, built: &Built, filter: Option<&str>) -> Result<Outcome> {
    let run = || {
        let columns = conformance::side_by_side(&built.oci, &built.shim, filter)?;
        println!("{}", conformance::summary(&columns));
        let ours = columns.last().context("no runtime was run")?;
        judged(ours.verdicts.outcome(SCOPE))
    };
    let outcome = steps.step("OCI conformance on this host", run, Outcome::short)?;
    steps.conclude(&outcome);
    Ok(outcome)
}

/// Takes out of an outcome the cases that are known to fail (`tests/oci-behind.txt`), which are shown, and counts a known one that passes as
/// failed, so that the list stays true.
pub(super) fn judged(mut outcome: Outcome) -> Result<Outcome> {
    let behind = Behind::read()?;
    for (name, reason) in &behind.reasons {
        let name = format!("{SCOPE}::{name}");
        if outcome.failed.remove(&name) {
            println!("behind   {name}: {reason}");
        } else if outcome.passed.remove(&name) {
            outcome.failed.insert(format!("{name} (passes: take it out of tests/oci-behind.txt)"));
        }
    }
    Ok(outcome)
}
