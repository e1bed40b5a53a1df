//! What a run of the VM brings along, on a read-only disk of its own.

use crate::{repo, run};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder being filled, later the VM's second disk.
pub(crate) struct Payload {
    folder: tempfile::TempDir,
}

impl Payload {
    /// An empty payload.
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("payload-")
            .tempdir_in(repo::cache("vm")?)
            .context("cannot create a folder for the payload")?;
        std::fs::create_dir_all(folder.path().join("repo")).context("cannot create the payload's folders")?;
        std::fs::create_dir_all(folder.path().join("extras"))
            .context("cannot create the payload's folders")?;
        Ok(Self { folder })
    }

    /// Brings the files that git tracks, at the checkout's own path.
    pub(crate) fn checkout(&mut self) -> Result<()> {
        let root = repo::root();
        let listing = run::stdout(Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]))?;
        for file in listing.split('\0').filter(|file| !file.is_empty()) {
            let source = root.join(file);
            // A tracked file may be deleted in the work tree.
            if source.is_file() {
                copy(&source, &self.folder.path().join("repo").join(file))?;
            }
        }
        Ok(())
    }

    /// Brings one built program; inside it lies in `target/vm/` of the checkout. Gives that path.
    pub(crate) fn program(&mut self, path: &Path) -> Result<PathBuf> {
        let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
        let inside = Path::new("target/vm").join(name);
        copy(path, &self.folder.path().join("repo").join(&inside))?;
        Ok(repo::root().join(inside))
    }

    /// Brings a folder as it is, owners and all; inside it lies in [`super::EXTRAS`].
    pub(crate) fn extra(&mut self, folder: &Path) -> Result<()> {
        let extras = self.folder.path().join("extras");
        run::status(Command::new("cp").args(["-a", "--reflink=auto"]).args([folder, &extras]))
    }

    /// Writes the disk, with the shell line to run. The disk lives as long as what is returned.
    pub(super) fn disk(self, line: &str) -> Result<Disk> {
        let folder = self.folder.path();
        let write = |name: &str, text: String| {
            std::fs::write(folder.join(name), text)
                .with_context(|| format!("cannot write the payload's {name}"))
        };
        write("repo-path", format!("{}\n", repo::root().display()))?;
        write("command", format!("PATH=\"{}/target/vm:$PATH\"\n{line}\n", repo::root().display()))?;
        let image = tempfile::Builder::new()
            .prefix("payload-")
            .suffix(".ext4")
            .tempfile_in(repo::cache("vm")?)
            .context("cannot create the payload's disk")?;
        let kilobytes = size_in_kilobytes(folder)?;
        run::logged(
            Command::new("mke2fs")
                .args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d"])
                .arg(folder)
                .arg(image.path())
                // File system structures and half-filled blocks take about a tenth.
                .arg(format!("{}k", kilobytes + kilobytes / 4 + 32 * 1024)),
            &repo::cache("vm")?.join("payload.log"),
        )?;
        Ok(Disk { image })
    }
}

/// A disk image that is deleted when dropped.
pub(super) struct Disk {
    image: tempfile::NamedTempFile,
}

impl Disk {
    /// Where the image lies.
    pub(super) fn path(&self) -> &Path {
        self.image.path()
    }
}

/// Copies one file, making the folders above it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    std::fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// What a folder takes on disk.
fn size_in_kilobytes(folder: &Path) -> Result<u64> {
    let said = run::stdout(Command::new("du").args(["-s", "-k"]).arg(folder))?;
    let number = said.split_whitespace().next().unwrap_or_default();
    number.parse().with_context(|| format!("cannot read the size in `{said}`"))
}
