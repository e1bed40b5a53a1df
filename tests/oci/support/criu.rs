//! CRIU for the cases that need it: the one that `cargo xtask conformance` unpacks, or that `SAMPAN_TEST_CRIU` names the folder of.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The folder of its program; `Err` with the reason why checkpoints cannot be tried here.
pub(crate) fn criu() -> Result<&'static Path, &'static str> {
    static FOLDER: OnceLock<Result<PathBuf, &'static str>> = OnceLock::new();
    FOLDER.get_or_init(find).as_deref().map_err(|why| *why)
}

fn find() -> Result<PathBuf, &'static str> {
    let named = std::env::var_os("SAMPAN_TEST_CRIU").map(PathBuf::from);
    let peers = sampan_tests::places::checkout().join(".cache/peers");
    let unpacked = std::fs::read_dir(peers).into_iter().flatten().flatten();
    let mut folders = named.into_iter().chain(unpacked.map(|entry| entry.path().join("path")));
    let folder = folders.find(|folder| folder.join("criu").is_file()).ok_or("no criu was set up")?;
    let mut check = Command::new(folder.join("criu"));
    let works = check.arg("check").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if works.is_ok_and(|status| status.success()) {
        Ok(folder)
    } else {
        Err("criu does not know this kernel")
    }
}

/// Has a command find it.
pub(crate) fn with_criu(mut command: Command) -> Command {
    let mut path = OsString::new();
    if let Ok(folder) = criu() {
        path.push(folder);
        path.push(":");
    }
    path.push(std::env::var_os("PATH").unwrap_or_default());
    command.env("PATH", path);
    command
}

/// Whether CRIU finds iptables, which it holds packets back with unless told otherwise.
pub(crate) fn has_iptables() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("iptables-restore").is_file())
}
