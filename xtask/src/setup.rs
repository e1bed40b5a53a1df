//! `cargo xtask setup`: installs what is missing, and says why.

use crate::args::Group;
use crate::packages::{PACKAGES, Package};
use crate::run;
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Command;

/// Installs the packages of these groups (all but `bench` when none is named). Gives how many were missing.
pub(crate) fn run(groups: &[Group]) -> Result<usize> {
    let groups = if groups.is_empty() { &[Group::Demo, Group::Test, Group::Vm][..] } else { groups };
    let missing = missing(groups)?;
    if missing.is_empty() {
        println!("setup: all Debian packages are there, nothing to do");
        return Ok(0);
    }
    for package in &missing {
        println!("setup: needs {:<16} {}", package.name, package.why);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    if !run::is_root() {
        bail!("cannot install {}: only root may; run `apt-get install {0}` as root", names.join(" "));
    }
    install(&names)?;
    println!("setup: installed {}", names.join(" "));
    Ok(missing.len())
}

/// The packages of these groups that dpkg does not have.
fn missing(groups: &[Group]) -> Result<Vec<&'static Package>> {
    let wanted: Vec<&Package> =
        PACKAGES.iter().filter(|package| package.groups.iter().any(|group| groups.contains(group))).collect();
    // Exits with 1 when one name is unknown, and still lists the others.
    let known = run::output(
        Command::new("dpkg-query")
            .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
            .args(wanted.iter().map(|package| package.name)),
    )
    .context("cannot ask dpkg which packages are there (is this Debian?)")?;
    let known = String::from_utf8_lossy(&known.stdout);
    Ok(wanted.into_iter().filter(|package| !is_installed(&known, package.name)).collect())
}

/// Reads dpkg-query's lines of `name status`.
fn is_installed(listing: &str, name: &str) -> bool {
    listing.lines().any(|line| line.split_once(' ') == Some((name, "installed")))
}

/// Installs packages without starting the services some of them bring.
fn install(names: &[&str]) -> Result<()> {
    if !indexes_are_there() {
        apt(&["update"])?;
    }
    let policy = NoServices::begin()?;
    let install = |names: &[&str]| apt(&[&["install", "--yes", "--no-install-recommends"], names].concat());
    let mut result = install(names);
    if result.is_err() {
        // The indexes may be older than the mirror: fetch them once, try once more.
        result = apt(&["update"]).and_then(|()| install(names));
    }
    policy.end()?;
    result
}

/// Whether `apt-get update` ran here before.
fn indexes_are_there() -> bool {
    let ask = Command::new("apt-get").args(["indextargets", "--format", "$(FILENAME)"]).output();
    ask.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).lines().any(|path| Path::new(path).exists())
    })
}

/// One apt-get call, never asking.
fn apt(words: &[&str]) -> Result<()> {
    run::status(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet").args(words))
}

/// Forbids package scripts to start services, by Debian's `policy-rc.d`, unless the machine has one already.
struct NoServices {
    ours: bool,
}

impl NoServices {
    const PATH: &str = "/usr/sbin/policy-rc.d";

    fn begin() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        if Path::new(Self::PATH).exists() {
            return Ok(Self { ours: false });
        }
        std::fs::write(Self::PATH, "#!/bin/sh\nexit 101\n").context("cannot write /usr/sbin/policy-rc.d")?;
        std::fs::set_permissions(Self::PATH, std::fs::Permissions::from_mode(0o755))
            .context("cannot make /usr/sbin/policy-rc.d executable")?;
        Ok(Self { ours: true })
    }

    fn end(self) -> Result<()> {
        if self.ours {
            std::fs::remove_file(Self::PATH).context("cannot remove /usr/sbin/policy-rc.d")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_status_installed_counts() {
        let listing = "crun installed\nrunc config-files\n";
        assert!(is_installed(listing, "crun"));
        assert!(!is_installed(listing, "runc"));
        assert!(!is_installed(listing, "lxc"));
    }

    #[test]
    fn every_package_says_why_and_has_a_group() {
        for package in PACKAGES {
            assert!(!package.why.is_empty() && !package.groups.is_empty(), "{}", package.name);
        }
    }
}
