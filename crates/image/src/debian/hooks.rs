//! What is done to the root filesystem when all packages are installed.

use sampan_types::{Error, Result};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};
use tempfile::TempDir;

/// Run by `mmdebstrap` outside of the root filesystem, whose path is its first argument.
///
/// Host keys that the package has made would be those of every container: they go, and are made before sshd first
/// starts. Options of this machine's apt may name proxies and files that are not there elsewhere.
const CUSTOMIZE: &str = r#"#!/bin/sh
set -eu
root=$1
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap"
if [ -e "$root/usr/sbin/sshd" ]; then
    rm -f "$root"/etc/ssh/ssh_host_*_key "$root"/etc/ssh/ssh_host_*_key.pub
    mkdir -p "$root/etc/systemd/system/ssh.service.d"
    cat > "$root/etc/systemd/system/ssh.service.d/host-keys.conf" <<END
# Each container makes its own host keys when sshd first starts.
[Service]
ExecStartPre=
ExecStartPre=/usr/bin/ssh-keygen -A
ExecStartPre=/usr/sbin/sshd -t
END
fi
if [ -e "$root/sbin/init" ] || [ -L "$root/sbin/init" ]; then
    : > "$(dirname "$0")/has-init"
fi
"#;

/// The script in a directory of its own, removed with this value.
pub(super) struct Hooks {
    directory: TempDir,
}

impl Hooks {
    pub(super) fn new() -> Result<Self> {
        let write = || -> std::io::Result<Self> {
            let hooks = Self { directory: tempfile::Builder::new().prefix("sampan-").tempdir()? };
            fs::write(hooks.script(), CUSTOMIZE)?;
            fs::set_permissions(hooks.script(), Permissions::from_mode(0o755))?;
            Ok(hooks)
        };
        write().map_err(|error| Error::io("cannot write a script for mmdebstrap", error))
    }

    /// Path of the script.
    pub(super) fn script(&self) -> PathBuf {
        self.directory.path().join("customize")
    }

    /// Whether the root filesystem had an init, once the script has run.
    pub(super) fn has_init(&self) -> bool {
        self.directory.path().join("has-init").exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn identities_go_and_an_init_is_seen() {
        let root = tempfile::tempdir().unwrap();
        for directory in ["etc/ssh", "usr/sbin", "sbin", "etc/apt/apt.conf.d"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        for file in [
            "etc/ssh/ssh_host_rsa_key",
            "etc/ssh/ssh_host_rsa_key.pub",
            "etc/ssh/sshd_config",
            "usr/sbin/sshd",
        ] {
            fs::write(root.path().join(file), "x").unwrap();
        }
        let hooks = Hooks::new().unwrap();
        let run = || assert!(Command::new(hooks.script()).arg(root.path()).status().unwrap().success());
        run();
        assert!(!hooks.has_init());
        let left: Vec<_> =
            fs::read_dir(root.path().join("etc/ssh")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["sshd_config"]);
        let unit =
            fs::read_to_string(root.path().join("etc/systemd/system/ssh.service.d/host-keys.conf")).unwrap();
        assert!(unit.contains("ExecStartPre=/usr/bin/ssh-keygen -A\n"));
        std::os::unix::fs::symlink("/lib/systemd/systemd", root.path().join("sbin/init")).unwrap();
        run();
        assert!(hooks.has_init());
    }
}
