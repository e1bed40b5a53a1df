//! Programs of the host, run to completion.

use anyhow::{Context as _, Result, bail};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where `name` is in the search path, if it is.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| is_executable(program))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|status| status.is_file() && status.permissions().mode() & 0o111 != 0)
}

/// Runs words as a command and gives what it printed; an error carries the words and what it said.
pub(crate) fn output(words: &[String]) -> Result<String> {
    let output = command(words)?.stdin(Stdio::null()).output().with_context(|| cannot_run(words))?;
    if !output.status.success() {
        bail!(
            "`{}` ended with {}: {}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs words as a command that leaves a process behind: nothing is read from it, as what it leaves would hold a pipe open.
pub(crate) fn leave_running(words: &[String]) -> Result<()> {
    let status = quiet(words)?.status().with_context(|| cannot_run(words))?;
    if !status.success() {
        bail!("`{}` ended with {status}", words.join(" "));
    }
    Ok(())
}

/// The command of these words with input, output and errors at /dev/null.
pub(crate) fn quiet(words: &[String]) -> Result<Command> {
    let mut command = command(words)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

fn command(words: &[String]) -> Result<Command> {
    let (program, rest) = words.split_first().context("a command without words")?;
    let mut command = Command::new(program);
    command.args(rest);
    Ok(command)
}

fn cannot_run(words: &[String]) -> String {
    format!("cannot run `{}`", words.join(" "))
}

/// The words of a command from what they are made of.
pub(crate) fn words<const N: usize>(parts: [&str; N]) -> Vec<String> {
    parts.map(str::to_owned).to_vec()
}
