//! What cargo builds: the programs, and the executables of the tests.

use crate::{repo, run};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An executable that cargo built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// The target's name: `sampan`, or a test suite's.
    pub(crate) name: String,
    /// Where the executable lies.
    pub(crate) path: PathBuf,
    /// The manifest of its package.
    pub(crate) manifest: PathBuf,
}

/// One line of `cargo build --message-format=json` (the cargo book, "External tools"); other lines have no executable.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// A cargo call in the checkout.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(repo::root());
    command
}

/// Runs a cargo verb that builds (`build …`, `test --no-run …`) and gives the executables it made or found fresh.
pub(crate) fn build(words: &[&str]) -> Result<Vec<Artifact>> {
    let mut command = cargo();
    command.args(words).arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("cannot run `{}`", run::shown(&command)))?;
    anyhow::ensure!(output.status.success(), "`{}` ended with {}", run::shown(&command), output.status);
    Ok(executables(&String::from_utf8_lossy(&output.stdout)))
}

/// The executables named in cargo's messages.
fn executables(messages: &str) -> Vec<Artifact> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter_map(|message| {
            Some(Artifact {
                name: message.target?.name,
                path: message.executable?,
                manifest: message.manifest_path?,
            })
        })
        .collect()
}

/// Builds `sampan` and `sampan-shim` and gives their paths, in this order. Beside them stands `sampan-runc`, the shim's name as an OCI
/// runtime.
pub(crate) fn programs(extra: &[&str]) -> Result<[PathBuf; 2]> {
    let words = [&["build", "--package", "sampan", "--package", "sampan-shim"], extra].concat();
    let built = build(&words)?;
    let path = |name: &str| {
        let artifact = built.iter().find(|artifact| artifact.name == name);
        artifact.map(|artifact| artifact.path.clone()).with_context(|| format!("cargo built no `{name}`"))
    };
    let shim = path("sampan-shim")?;
    link(&shim.with_file_name("sampan-runc"))?;
    Ok([path("sampan")?, shim])
}

/// Gives the shim, in the same folder, another name.
fn link(name: &Path) -> Result<()> {
    let target = Path::new("sampan-shim");
    if std::fs::read_link(name).is_ok_and(|there| there == target) {
        return Ok(());
    }
    // What another name's file may be there is no program of ours.
    let _ = std::fs::remove_file(name);
    std::os::unix::fs::symlink(target, name).with_context(|| format!("cannot make {}", name.display()))
}

/// The programs that an earlier debug build left, without building anything.
pub(crate) fn programs_already_built() -> Result<Vec<PathBuf>> {
    let folder = target_directory()?.join(host()?).join("debug");
    Ok(["sampan", "sampan-shim"].iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect())
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory() -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let said = run::stdout(cargo().args(["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: Metadata = serde_json::from_str(&said).context("cannot read what `cargo metadata` says")?;
    Ok(metadata.target_directory)
}

/// This machine's target triple; the build names it explicitly.
fn host() -> Result<String> {
    let said = run::stdout(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("`rustc -vV` names no host")
}

/// Whether an executable needs no dynamic loader: its ELF header names no interpreter.
pub(crate) fn is_static(path: &Path) -> Result<bool> {
    let said = run::output(Command::new("ldd").env("LC_ALL", "C").arg(path))?;
    let text = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Ok(text.contains("statically linked") || text.contains("not a dynamic executable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shim_gets_its_name_as_a_runtime() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("sampan-runc");
        std::fs::write(&name, "old").unwrap();
        for _ in 0..2 {
            link(&name).unwrap();
            assert_eq!(std::fs::read_link(&name).unwrap(), Path::new("sampan-shim"));
        }
    }

    #[test]
    fn executables_are_read_from_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","manifest_path":"/m/Cargo.toml","target":{"name":"sampan"},"executable":"/t/sampan"}
{"reason":"compiler-artifact","manifest_path":"/m/Cargo.toml","target":{"name":"lib"},"executable":null}
{"reason":"build-finished","success":true}
not json"#;
        let found = executables(messages);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].path.as_path()), ("sampan", Path::new("/t/sampan")));
    }
}
