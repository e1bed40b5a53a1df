//! `cargo xtask conformance`: the suite in `tests/oci` on runc, crun and ours, side by side.

mod behind;
mod cached;
mod hugetlb;
mod page;
mod suite;

pub(crate) use behind::Behind;
pub(crate) use suite::Verdicts;

use crate::args::Group;
use crate::artifacts::{self, Artifact};
use crate::{peers, repo, run, setup};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};

/// One runtime and how it fared.
#[derive(Debug)]
pub(crate) struct Column {
    /// `runc`, `crun` or `sampan`.
    pub(crate) name: String,
    /// The first line of what it says of its version.
    pub(crate) version: String,
    /// Each case's end.
    pub(crate) verdicts: Verdicts,
    /// Whether the verdicts are those of an earlier run.
    pub(crate) from_cache: bool,
}

/// Where the page is.
const PAGE: &str = "docs/dev/conformance.md";

/// Builds, runs all three, shows the table, and without a filter writes the page. Gives 0 if ours is nowhere behind.
pub(crate) fn run(filter: Option<&str>) -> Result<u8> {
    if !run::is_root() {
        bail!("the suite makes containers for root: run `cargo xtask conformance` as root");
    }
    setup::run(&[Group::Test])?;
    let shim = built("sampan-shim", &["build", "--quiet", "--package", "sampan-shim"])?;
    let suite = built("oci", &["test", "--quiet", "--package", "sampan-tests", "--test", "oci", "--no-run"])?;
    let columns = side_by_side(&suite, &shim.path, filter)?;
    let behind = Behind::read()?;
    println!("{}", page::summary(&columns));
    if filter.is_none() {
        let path = repo::root().join(PAGE);
        std::fs::write(&path, page::page(&columns, &behind))
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("written to {PAGE}");
    }
    let ours = columns.last().context("no runtime was run")?;
    let complaints = behind.complaints(&ours.verdicts);
    complaints.iter().for_each(|complaint| println!("FAILED   {complaint}"));
    Ok(u8::from(!complaints.is_empty()))
}

/// The executable of this name that a call of cargo builds.
fn built(name: &str, words: &[&str]) -> Result<Artifact> {
    let all = artifacts::build(words)?;
    all.into_iter().find(|artifact| artifact.name == name).with_context(|| format!("cargo built no `{name}`"))
}

/// The verdicts of runc, crun and, last, ours.
pub(crate) fn side_by_side(suite: &Artifact, shim: &Path, filter: Option<&str>) -> Result<Vec<Column>> {
    let _hugetlb = hugetlb::ensure()?;
    let mut columns = Vec::new();
    let peers = peers::ensure()?;
    for peer in peers.runtimes {
        let known = if filter.is_none() { cached::read(&peer)? } else { None };
        let from_cache = known.is_some();
        let verdicts = match known {
            Some(verdicts) => verdicts,
            None => suite::run(suite, &words(&[&peer.program]), peer.name, &peers.criu, filter)?,
        };
        if filter.is_none() && !from_cache {
            cached::write(&peer, &verdicts)?;
        }
        columns.push(Column { name: peer.name.to_owned(), version: peer.version, verdicts, from_cache });
    }
    let verdicts = suite::run(suite, &words(&[shim, Path::new("oci")]), "sampan", &peers.criu, filter)?;
    let version = format!("sampan {}", env!("CARGO_PKG_VERSION"));
    columns.push(Column { name: "sampan".to_owned(), version, verdicts, from_cache: false });
    Ok(columns)
}

/// The table of areas, for a person.
pub(crate) fn summary(columns: &[Column]) -> String {
    page::summary(columns)
}

/// A runtime's words for the environment of the suite.
fn words(parts: &[&Path]) -> String {
    parts.iter().map(|part| part.display().to_string()).collect::<Vec<_>>().join(" ")
}

/// The sources of the suite.
fn sources() -> [PathBuf; 2] {
    ["oci", "src"].map(|folder| repo::root().join("tests").join(folder))
}
