//! `cargo xtask test`: everything that must pass, on this host and in the VM.

mod host;
mod oci;
mod vm_lane;

use crate::args::{Group, Lane};
use crate::artifacts::{self, Artifact};
use crate::outcome::Outcome;
use crate::steps::Steps;
use crate::{images, repo, run, setup, tidy};
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// Debian's release in the VM.
const RELEASE: &str = "bookworm";

/// The programs under test can be killed at named places.
const FAILPOINTS: &[&str] = &["--features", "sampan/failpoints,sampan-shim/failpoints"];

/// What was built and is to be tested.
struct Built {
    /// `sampan`, with `sampan-shim` beside it.
    sampan: PathBuf,
    shim: PathBuf,
    /// The programs of all tests but the suites below.
    tests: Vec<Artifact>,
    /// The end-to-end suite.
    e2e: Artifact,
    /// The conformance suite of the OCI runtime.
    oci: Artifact,
    /// The folder of the images for tests.
    images: PathBuf,
}

/// Runs all of it, or with a filter only the tests whose name has it. Gives 0 if nothing failed, 1 otherwise.
pub(crate) fn run(lane: Lane, filter: Option<&str>) -> Result<u8> {
    let mut steps = Steps::begin();
    let mut total = Outcome::default();
    let ended = all(&mut steps, &mut total, lane, filter);
    println!("\n{}", steps.summary());
    for (name, reason) in &total.skipped {
        println!("skipped  {name}: {reason}");
    }
    for name in &total.flaky {
        println!("flaky    {name}: failed beside others, passed when run once more alone");
    }
    for name in &total.failed {
        println!("FAILED   {name}");
    }
    if let Err(error) = &ended {
        println!("FAILED   {error:#}");
        total.failed.insert("a step before the tests".to_owned());
    }
    println!("{}", total.short());
    Ok(u8::from(!total.failed.is_empty() || !steps.all_passed()))
}

fn all(steps: &mut Steps, total: &mut Outcome, lane: Lane, filter: Option<&str>) -> Result<()> {
    if !run::is_root() {
        bail!("the tests make containers for root: run `cargo xtask test` as root");
    }
    let groups: &[Group] = if lane == Lane::Host { &[Group::Test] } else { &[Group::Test, Group::Vm] };
    steps.step("set-up", || setup::run(groups), |count| format!("{count} packages installed"))?;
    if filter.is_none() {
        checks(steps)?;
    }
    let built = build(steps)?;
    let mut both = Vec::new();
    if lane != Lane::Vm {
        let outcome = host::tests(steps, &built, filter)?;
        *total += outcome;
        let mut outcome = host::e2e(steps, &built, filter)?;
        outcome += oci::on_host(steps, &built, filter)?;
        both.push(outcome);
    }
    if lane != Lane::Host {
        both.push(vm_lane::tests(steps, &built, filter)?);
    }
    if let [host, vm] = both.as_slice() {
        total.failed.extend(ran_nowhere(host, vm));
    }
    for (outcome, name) in both.into_iter().zip(lane_names(lane)) {
        *total += outcome.in_lane(name);
    }
    Ok(())
}

/// The lanes in the order in which their outcomes come.
fn lane_names(lane: Lane) -> &'static [&'static str] {
    match lane {
        Lane::Host => &["host"],
        Lane::Vm => &["vm"],
        Lane::All => &["host", "vm"],
    }
}

/// Tests that say in both lanes that they run in the other.
fn ran_nowhere(host: &Outcome, vm: &Outcome) -> Vec<String> {
    let skipped_in_vm = |name: &String| vm.skipped.iter().any(|(skipped, _)| skipped == name);
    let names = host.skipped.iter().map(|(name, _)| name);
    names.filter(|name| skipped_in_vm(name)).map(|name| format!("{name} (runs in no lane)")).collect()
}

/// Format, lints, and the project's own rules: none of them needs a program to run.
fn checks(steps: &mut Steps) -> Result<()> {
    let fine = |(): &()| "fine".to_owned();
    steps.step("format", || run::status(artifacts::cargo().args(["fmt", "--all", "--check"])), fine)?;
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets"];
    let lint =
        || run::status(artifacts::cargo().args(clippy).args(FAILPOINTS).args(["--", "-D", "warnings"]));
    steps.step("lints", lint, fine)?;
    steps.step("tidy", tidy::run, |_| "fine".to_owned())?;
    Ok(())
}

/// Builds the programs, all tests and the images.
fn build(steps: &mut Steps) -> Result<Built> {
    let words = [&["test", "--quiet", "--workspace", "--no-run"], FAILPOINTS].concat();
    let tests = steps.step(
        "build tests",
        || artifacts::build(&words),
        |built| format!("{} programs", built.len()),
    )?;
    let [sampan, shim] = steps.step(
        "build programs",
        || artifacts::programs(&[&["--quiet"], FAILPOINTS].concat()),
        |_| "sampan and sampan-shim".to_owned(),
    )?;
    for program in [&sampan, &shim] {
        anyhow::ensure!(artifacts::is_static(program)?, "{} is not static", program.display());
    }
    let (images, _) = steps.step(
        "images",
        || images::ensure(&sampan),
        |(_, made)| format!("{made} made, the others are there"),
    )?;
    let is_e2e = |artifact: &Artifact| artifact.name == "e2e";
    let e2e = tests.iter().find(|test| is_e2e(test)).cloned().context("cargo built no end-to-end suite")?;
    // `cargo test` gives the programs as well, those that tests of the same package run.
    let is_test = |artifact: &Artifact| artifact.path.parent().is_some_and(|folder| folder.ends_with("deps"));
    let is_oci = |artifact: &Artifact| artifact.name == oci::SCOPE;
    let oci = tests.iter().find(|test| is_oci(test)).cloned().context("cargo built no conformance suite")?;
    let is_of_crate = |artifact: &Artifact| is_test(artifact) && !is_e2e(artifact) && !is_oci(artifact);
    let tests = tests.into_iter().filter(is_of_crate).collect();
    Ok(Built { sampan, shim, tests, e2e, oci, images })
}

/// Examples in the documentation of the crates.
fn doc_tests(filter: Option<&str>) -> Result<(String, bool)> {
    let mut command = artifacts::cargo();
    command.args(["test", "--quiet", "--doc", "--workspace"]).args(FAILPOINTS).args(["--no-fail-fast", "--"]);
    command.args(filter).args(["--format", "pretty"]);
    let output = run::output(&mut command)?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success()))
}

/// A test program's name for people: the package's folder and the target.
fn scope(test: &Artifact) -> String {
    let package =
        test.manifest.parent().and_then(|folder| folder.file_name()).unwrap_or_default().to_string_lossy();
    if test.name.replace('_', "-").trim_start_matches("sampan-") == package {
        return package.into_owned();
    }
    format!("{package}::{}", test.name)
}

/// A test program's call in the folder of its package, as cargo does it.
fn call(test: &Artifact, filter: Option<&str>) -> Command {
    let mut command = Command::new(&test.path);
    command.args(filter).current_dir(test.manifest.parent().unwrap_or(repo::root()));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_both_lanes_leave_to_the_other_is_found() {
        let skipping =
            |name: &str| Outcome { skipped: vec![(name.to_owned(), "why".to_owned())], ..Outcome::default() };
        assert_eq!(ran_nowhere(&skipping("a"), &skipping("a")), ["a (runs in no lane)"]);
        assert!(ran_nowhere(&skipping("a"), &skipping("b")).is_empty());
    }

    #[test]
    fn scopes_are_short() {
        let artifact = |manifest: &str, name: &str| Artifact {
            name: name.to_owned(),
            path: PathBuf::new(),
            manifest: PathBuf::from(manifest),
        };
        assert_eq!(scope(&artifact("/r/crates/net/Cargo.toml", "sampan_net")), "net");
        assert_eq!(scope(&artifact("/r/crates/net/Cargo.toml", "traffic")), "net::traffic");
    }
}
