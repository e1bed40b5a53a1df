//! What all contenders share: one busybox root file system, as a folder and as an archive.

use crate::programs::{find, output, words};
use anyhow::{Context as _, Result};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The name that each engine gives to its image of the root file system.
pub(crate) const IMAGE: &str = "localhost/bench-busybox:latest";

/// The stage for all peers.
#[derive(Debug)]
pub(crate) struct Scene {
    /// The `sampan` program that is measured.
    pub(crate) sampan: PathBuf,
    /// Our OCI runtime: the shim beside it under the name by which it is one.
    pub(crate) runtime: PathBuf,
    /// The run's folder on disk.
    pub(crate) disk: PathBuf,
    /// The root file system as a folder.
    pub(crate) rootfs: PathBuf,
    /// The root file system as a tar archive.
    pub(crate) archive: PathBuf,
}

impl Scene {
    /// Lays the root file system out below `disk`: the host's static busybox, a link for each of its programs, the usual folders.
    pub(crate) fn build(sampan: &Path, disk: &Path) -> Result<Self> {
        let sampan =
            sampan.canonicalize().with_context(|| format!("cannot find the program {}", sampan.display()))?;
        let runtime = disk.join("sampan-runc");
        symlink(sampan.with_file_name("sampan-shim"), &runtime)
            .with_context(|| format!("cannot make {}", runtime.display()))?;
        let busybox = find("busybox").context("cannot find busybox (package busybox-static)")?;
        let rootfs = disk.join("rootfs");
        for folder in ["bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var"] {
            let folder = rootfs.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let inside = rootfs.join("bin/busybox");
        fs::copy(&busybox, &inside).with_context(|| format!("cannot copy {}", busybox.display()))?;
        let programs = output(&words([&busybox.to_string_lossy(), "--list"]))?;
        for program in programs.lines().filter(|program| *program != "busybox") {
            let link = rootfs.join("bin").join(program);
            symlink("busybox", &link).with_context(|| format!("cannot make {}", link.display()))?;
        }
        let archive = disk.join("rootfs.tar");
        let (to, from) = (archive.to_string_lossy(), rootfs.to_string_lossy());
        output(&words(["tar", "--create", "--file", &to, "--directory", &from, "."]))?;
        Ok(Self { sampan, runtime, disk: disk.to_owned(), rootfs, archive })
    }

    /// A new folder on disk for one peer.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.disk.join(name);
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}
