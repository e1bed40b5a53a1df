//! Paths that read as empty, and paths that cannot be written (config-linux.md, "Masked Paths", "Readonly Paths").

use super::{
    filesystem::Filesystem,
    mounts::{Rootfs, attach, relative},
    options::Bind,
    target, trees,
};
use crate::error::Cannot;
use rustix::{
    fs::{FileType, Mode, OFlags, Stat, makedev},
    io::Errno,
};
use sampan_sys::mount::Attr;
use sampan_types::{Error, ErrorKind, Result};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Hides what is at these paths: files behind the null device, directories behind one empty read-only tmpfs. Missing
/// ones are passed over, and those that are hidden already.
pub(crate) fn mask(rootfs: &Rootfs<'_>, paths: &[PathBuf]) -> Result<()> {
    let mut masks = Masks::default();
    for path in paths {
        let Some(target) = find(rootfs, path, "mask it")? else { continue };
        let stat = stat(&target).cannot(|| format!("inspect {}", path.display()))?;
        if is_null(&stat) || masks.is_empty_directory(&stat) {
            continue;
        }
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let tree = if directory { masks.directory()? } else { masks.file()? };
        attach(&tree, &target).cannot(|| format!("mask {}", path.display()))?;
        if directory && masks.empty.is_none() {
            masks.keep(tree)?;
        }
    }
    Ok(())
}

fn find(rootfs: &Rootfs<'_>, path: &Path, purpose: &str) -> Result<Option<OwnedFd>> {
    match target::open(&rootfs.root, relative(path)) {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        found => found.map(Some).cannot(|| format!("open {} to {purpose}", path.display())),
    }
}

fn stat(file: impl AsFd) -> Result<Stat, Errno> {
    rustix::fs::fstat(file)
}

fn is_null(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3)
}

/// What hides.
#[derive(Default)]
struct Masks {
    null: Option<OwnedFd>,
    /// The tmpfs, and the device number by which it is known again.
    empty: Option<(OwnedFd, u64)>,
}

impl Masks {
    /// The host's null device: the container's own could be anything by now (CVE-2025-31133). So could the host's, in a mount
    /// namespace that was joined.
    fn file(&mut self) -> Result<OwnedFd> {
        let null = match self.null.take() {
            Some(null) => null,
            None => {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let null =
                    rustix::fs::open("/dev/null", flags, Mode::empty()).cannot(|| "open /dev/null".into())?;
                if !is_null(&stat(&null).cannot(|| "inspect /dev/null".into())?) {
                    return Err(Error::new(ErrorKind::Internal, "cannot mask files")
                        .because("/dev/null is no null device"));
                }
                null
            }
        };
        let tree = trees::clone_of(&null, Bind::One).cannot(|| "bind /dev/null".into());
        self.null = Some(null);
        tree
    }

    /// A first mount of the tmpfs, then clones of that, which is attached by the time they are made.
    fn directory(&self) -> Result<OwnedFd> {
        if let Some((empty, _)) = &self.empty {
            return trees::clone_of(empty, Bind::One).cannot(|| "bind an empty directory".into());
        }
        let filesystem = Filesystem::open("tmpfs")?;
        filesystem.set("nr_blocks", b"1")?;
        filesystem.mount(Attr::RDONLY | Attr::NOSUID | Attr::NODEV | Attr::NOEXEC)
    }

    fn keep(&mut self, tree: OwnedFd) -> Result<()> {
        let device = stat(&tree).cannot(|| "inspect an empty directory".into())?.st_dev;
        self.empty = Some((tree, device));
        Ok(())
    }

    fn is_empty_directory(&self, stat: &Stat) -> bool {
        self.empty.as_ref().is_some_and(|(_, device)| stat.st_dev == *device)
    }
}

/// Shows these paths, with all that is mounted below them, read-only. Missing ones are passed over.
pub(crate) fn make_read_only(rootfs: &Rootfs<'_>, paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let Some(target) = find(rootfs, path, "make it read-only")? else { continue };
        let what = || format!("make {} read-only", path.display());
        let tree = trees::clone_of(&target, Bind::All).cannot(what)?;
        trees::seal(&tree).cannot(what)?;
        attach(&tree, &target).cannot(what)?;
    }
    Ok(())
}
