//! Known vulnerabilities, by cargo-deny where it is installed: the one check that needs the network.

use crate::artifacts;
use anyhow::{Result, bail};

/// Asks cargo-deny for advisories. Gives one line about what was checked; fails when an advisory is found.
pub(super) fn check() -> Result<String> {
    let present =
        artifacts::cargo().args(["deny", "--version"]).output().is_ok_and(|output| output.status.success());
    if !present {
        return Ok("advisories were not checked: cargo-deny is not installed".to_owned());
    }
    let fetched = artifacts::cargo().args(["deny", "fetch"]).output()?;
    if !fetched.status.success() {
        return Ok("advisories were not checked: their database cannot be reached".to_owned());
    }
    let checked =
        artifacts::cargo().args(["deny", "--offline", "check", "advisories", "bans", "licenses"]).status()?;
    if !checked.success() {
        bail!("`cargo deny check` found something, see above");
    }
    Ok("no advisory concerns a package in use".to_owned())
}
