//! The peers that our OCI runtime is held against: the newest runc and crun that the machine's Debian mirror has.
//!
//! They are unpacked with their libraries into `.cache/peers/<suite>`, never installed: the machine's own packages stay as they are. So is CRIU,
//! which all of them need for checkpoints: one that is older than the kernel does not work.

use crate::{mirror, repo, run};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's suites, the newest runtimes first. Testing and stable are enough: unstable has what testing has a week later.
const SUITES: &[&str] = &["forky", "trixie"];

/// Raised whenever the recipe below changes, so that older copies are made anew.
const RECIPE: &str = "2";

/// The programs, in the order in which the table has them: name, and path in the package.
const PROGRAMS: &[(&str, &str)] = &[("runc", "usr/sbin/runc"), ("crun", "usr/bin/crun")];

/// CRIU's path in its package.
const CRIU: &str = "usr/sbin/criu";

/// A folder that has CRIU alone, for `PATH`.
const CRIU_FOLDER: &str = "path";

/// An OCI runtime that is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// `runc` or `crun`.
    pub(crate) name: &'static str,
    /// Its program.
    pub(crate) program: PathBuf,
    /// The first line of what it says of its version: `runc version 1.3.6+ds1`.
    pub(crate) version: String,
}

/// The peers, and what they need.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) runtimes: Vec<Peer>,
    /// The folder of CRIU's program.
    pub(crate) criu: PathBuf,
}

/// Gives the peers, unpacking them if they are not there.
pub(crate) fn ensure() -> Result<Peers> {
    let folder = repo::cache("peers")?;
    let _others_wait = repo::lock("peers")?;
    let mut failures = Vec::new();
    for suite in SUITES {
        let place = folder.join(suite);
        let made = if is_made(&place) { Ok(()) } else { unpack(suite, &folder, &place) };
        match made {
            Ok(()) => {
                let runtimes = PROGRAMS.iter().map(|(name, path)| peer(name, &place.join(path)));
                return Ok(Peers {
                    runtimes: runtimes.collect::<Result<_>>()?,
                    criu: place.join(CRIU_FOLDER),
                });
            }
            Err(error) => failures.push(format!("{suite}: {error:#}")),
        }
    }
    anyhow::bail!("cannot get runc, crun and criu from the mirror: {}", failures.join("; "))
}

fn mark(place: &Path) -> PathBuf {
    place.join(".recipe")
}

fn is_made(place: &Path) -> bool {
    std::fs::read_to_string(mark(place)).is_ok_and(|recipe| recipe == RECIPE)
}

/// Unpacks the packages and all they depend on, and ties the programs to the libraries that came along: those of an older Debian do not do.
fn unpack(suite: &str, folder: &Path, place: &Path) -> Result<()> {
    if place.exists() {
        std::fs::remove_dir_all(place).with_context(|| format!("cannot remove {}", place.display()))?;
    }
    println!("peers: unpacking runc, crun and criu of Debian's {suite} into {} …", place.display());
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--variant=extract", "--mode=root", "--format=directory", "--include=runc,crun,criu"])
        .arg(r#"--aptopt=Apt::Install-Recommends "false""#)
        // A mirror may be a copy of an older day, as this machine's own apt configuration expects.
        .arg(r#"--aptopt=Acquire::Check-Valid-Until "false""#)
        .arg(suite)
        .arg(place)
        .args(archive(suite)?);
    run::logged(&mut command, &folder.join(format!("{suite}.log")))?;
    let libraries = place.join("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let loader = loader(&libraries)?;
    for path in PROGRAMS.iter().map(|(_, path)| *path).chain([CRIU]) {
        // The older kind of run path holds for the libraries' own libraries too.
        let mut patch = Command::new("patchelf");
        patch.args(["--force-rpath", "--set-rpath"]).arg(&libraries);
        run::status(patch.arg("--set-interpreter").arg(&loader).arg(place.join(path)))?;
    }
    let folder = place.join(CRIU_FOLDER);
    std::fs::create_dir(&folder)
        .and_then(|()| std::os::unix::fs::symlink(Path::new("..").join(CRIU), folder.join("criu")))
        .with_context(|| format!("cannot make {}", folder.display()))?;
    std::fs::write(mark(place), RECIPE).with_context(|| format!("cannot write to {}", place.display()))
}

/// The dynamic loader among the libraries.
fn loader(libraries: &Path) -> Result<PathBuf> {
    let listed =
        std::fs::read_dir(libraries).with_context(|| format!("cannot list {}", libraries.display()))?;
    let mut names =
        listed.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("ld-linux"));
    let found = names.next().map(|entry| entry.path());
    found.with_context(|| format!("there is no dynamic loader in {}", libraries.display()))
}

fn peer(name: &'static str, program: &Path) -> Result<Peer> {
    let said = run::stdout(Command::new(program).arg("--version"))?;
    let version = said.lines().next().unwrap_or_default().to_owned();
    Ok(Peer { name, program: program.to_owned(), version })
}

/// The suite itself: one that is still being made has no security updates.
fn archive(suite: &str) -> Result<Vec<String>> {
    let own = format!(" {suite} main");
    Ok(mirror::sources_of(suite)?.into_iter().filter(|source| source.ends_with(&own)).collect())
}
