//! `cargo xtask vm -- CMD…`: a small VM with cgroup v2 and systemd as PID 1, under qemu without KVM.
//!
//! Its root file system and kernel are Debian's packages, made once by [`rootfs`] and kept under `.cache/vm`. What a
//! run brings along (the checkout's tracked files and built binaries) comes on a second disk made by [`payload`], since
//! Debian's cloud kernel has no 9p. Nothing that happens inside outlives the run: writes go to a temporary file.

mod boot;
mod cpio;
mod initramfs;
mod payload;
mod rootfs;

pub(crate) use payload::Payload;

use crate::args::Group;
use crate::steps::clock;
use crate::{artifacts, repo, setup};
use anyhow::Result;
use std::time::{Duration, Instant};

/// The longest that a command typed by a person may take.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// Boots the VM, runs one command in it with the checkout at its own path, and gives the command's exit code.
pub(crate) fn run(release: &str, command: &[String]) -> Result<u8> {
    setup::run(&[Group::Vm])?;
    let mut payload = Payload::new()?;
    payload.checkout()?;
    for program in artifacts::programs_already_built()? {
        payload.program(&program)?;
    }
    let code = run_payload(release, payload, &quoted(command), PATIENCE, &mut |line| print!("{line}"))?;
    Ok(code)
}

/// Boots the VM with a payload and runs a shell line in it. `hear` gets each line of output as it comes. Gives the
/// line's exit code.
pub(crate) fn run_payload(
    release: &str,
    payload: Payload,
    line: &str,
    patience: Duration,
    hear: &mut dyn FnMut(&str),
) -> Result<u8> {
    let machine = rootfs::ensure(release)?;
    let disk = payload.disk(line)?;
    let began = Instant::now();
    let code = boot::run(&machine, &disk, patience, hear)?;
    eprintln!("vm: ended with {code} after {}", clock(began.elapsed()));
    Ok(code)
}

/// The folder in which the VM finds what is not at its own path: images for the tests.
pub(crate) const EXTRAS: &str = "/payload/extras";

/// Words as one shell line that gives exactly these words again.
fn quoted(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
    quoted.join(" ")
}

/// Where this release's kernel, initramfs and disk lie.
fn cache(release: &str) -> Result<std::path::PathBuf> {
    Ok(repo::cache("vm")?.join(release))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        let words =
            ["printf".to_owned(), "%s|".to_owned(), "a b".to_owned(), "it's".to_owned(), "$HOME".to_owned()];
        let output = std::process::Command::new("sh").arg("-c").arg(quoted(&words)).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "a b|it's|$HOME|");
    }
}
