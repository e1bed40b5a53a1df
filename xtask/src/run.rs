//! Running other programs and saying clearly how they failed.

use anyhow::{Context as _, Result, bail};
use std::process::{Command, Output, Stdio};

/// A command's words as a person would type them.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Runs a command with our own output; fails unless it exits with 0.
pub(crate) fn status(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a command and gives its standard output; a failure carries its standard error.
pub(crate) fn stdout(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` ended with {}: {}", shown(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command and gives all it said, whatever its exit code.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("cannot run `{}`", shown(command)))
}

/// Runs a command with its output going to `log`; a failure names the log and shows its end.
pub(crate) fn logged(command: &mut Command, log: &std::path::Path) -> Result<()> {
    let file = std::fs::File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    let twin = file.try_clone().context("cannot duplicate the log's descriptor")?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(twin)
        .status()
        .with_context(|| format!("cannot run `{}`", shown(command)))?;
    if !status.success() {
        let tail = tail(log, 20);
        bail!("`{}` ended with {status}; its log {} ends:\n{tail}", shown(command), log.display());
    }
    Ok(())
}

/// The last lines of a text file; empty when it cannot be read.
pub(crate) fn tail(path: &std::path::Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Whether this process may do what only root may: its effective user id is 0.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
