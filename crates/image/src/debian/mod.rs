//! Debian, installed by `mmdebstrap` from the mirror this machine's own apt is configured for.
//!
//! What is installed is Debian's "minbase": essential packages and apt. With a package that brings an init, the image
//! is one for system containers, and gets what a machine needs beside it. Its network is configured by the engine from
//! outside, so no network daemon is enabled; `mmdebstrap` empties `/etc/machine-id`, and ssh host keys are made at the
//! first start, so that no two containers share an identity.

mod apt;
mod hooks;
mod output;
mod run;

use crate::{
    config::{SYSTEM_TYPE, TYPE_LABEL},
    template::{Template, TemplateConfig, TemplateOptions},
};
use hooks::Hooks;
use sampan_types::{Error, ErrorKind, Progress, Result};
use std::{collections::BTreeMap, io::Write};

const DEFAULT_RELEASE: &str = "bookworm";

/// Packages that bring `/sbin/init`.
const INITS: [&str; 5] = ["systemd-sysv", "sysvinit-core", "runit-init", "openrc", "init"];

/// What a machine has beside its init: the bus that logins and `systemctl` of users need, and tools to look at its network.
const MACHINE: [&str; 3] = ["dbus", "iproute2", "libpam-systemd"];

/// Makes its root filesystem with `mmdebstrap`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Debian;

impl Template for Debian {
    fn write(
        &self,
        options: &TemplateOptions,
        archive: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<TemplateConfig> {
        let release = options.release.as_deref().unwrap_or(DEFAULT_RELEASE);
        check_words(release, &options.include)?;
        let packages = packages(&options.include);
        progress.step(&format!("reading this machine's apt configuration for {release}"));
        let sources = apt::sources(release)?;
        let hooks = Hooks::new()?;
        let arguments = run::Arguments {
            release,
            packages: &packages,
            sources: &sources,
            apt_options: &apt::options()?,
            hooks: &hooks,
        };
        run::run(&arguments, archive, progress)?;

        let mut labels = BTreeMap::new();
        if hooks.has_init() {
            labels.insert(TYPE_LABEL.to_owned(), SYSTEM_TYPE.to_owned());
        }
        let include =
            if packages.is_empty() { String::new() } else { format!(" --include {}", packages.join(",")) };
        Ok(TemplateConfig {
            cmd: vec!["bash".into()],
            env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()],
            labels,
            created_by: format!("sampan image create --template debian --release {release}{include}"),
        })
    }
}

/// The packages asked for and, where an init is among them, what a machine needs.
fn packages(include: &[String]) -> Vec<String> {
    let mut packages = include.to_vec();
    if include.iter().any(|package| INITS.contains(&package.as_str())) {
        let systemd = include.iter().any(|package| package == "systemd-sysv");
        let machine = MACHINE.iter().filter(|package| systemd || **package != "libpam-systemd");
        packages.extend(machine.map(|package| (*package).to_owned()));
    }
    packages.sort();
    packages.dedup();
    packages
}

/// Refuses what is no release or package, before a tool takes it for an option or a pattern.
fn check_words(release: &str, include: &[String]) -> Result<()> {
    let is_word = |text: &str, more: &[u8]| {
        text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || more.contains(&byte))
    };
    let invalid = |what: String, hint: &str| Err(Error::new(ErrorKind::InvalidInput, what).hint(hint));
    if !is_word(release, b"-.") {
        return invalid(
            format!("invalid release {release:?}"),
            "the code name of a release, as in --release bookworm",
        );
    }
    match include.iter().find(|package| !is_word(package, b"+-.:")) {
        Some(package) => invalid(format!("invalid package name {package:?}"), "--include PACKAGE,PACKAGE"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_init_brings_what_a_machine_needs() {
        let packages_of =
            |names: &[&str]| packages(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(packages_of(&["curl"]), ["curl"]);
        assert_eq!(
            packages_of(&["systemd-sysv", "cron"]),
            ["cron", "dbus", "iproute2", "libpam-systemd", "systemd-sysv"]
        );
        assert_eq!(packages_of(&["sysvinit-core"]), ["dbus", "iproute2", "sysvinit-core"]);
    }

    #[test]
    fn words_that_are_options_or_patterns_are_refused() {
        assert!(check_words("bookworm", &["g++".into(), "libc6:i386".into()]).is_ok());
        for release in ["", "--help", "../etc", "a b"] {
            assert!(check_words(release, &[]).is_err(), "{release}");
        }
        for package in ["", "-o", "?essential", "a b", "~n"] {
            let error = check_words("bookworm", &[package.into()]).unwrap_err();
            assert_eq!(error.to_string(), format!("invalid package name {package:?}"));
        }
    }
}
