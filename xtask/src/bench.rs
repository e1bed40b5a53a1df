//! `cargo xtask bench`: builds the release programs and hands over to the bench program.

use crate::args::{Group, Measure};
use crate::{artifacts, run, setup};
use anyhow::{Context as _, Result};
use std::process::Command;

/// Measures, with the programs as they are released. Gives the bench program's exit code.
pub(crate) fn run(what: Measure, rounds: u32, install: bool) -> Result<u8> {
    setup::run(if install { &[Group::Demo, Group::Bench] } else { &[Group::Demo] })?;
    let [sampan, _] = artifacts::programs(&["--release"])?;
    let built = artifacts::build(&["build", "--release", "--package", "sampan-bench"])?;
    let bench = built
        .iter()
        .find(|artifact| artifact.name == "sampan-bench")
        .context("cargo built no bench program")?;
    let mut command = Command::new(&bench.path);
    command.arg(what.word()).arg("--sampan").arg(&sampan).args(["--rounds", &rounds.to_string()]);
    run::status(&mut command)?;
    Ok(0)
}
