//! Paths that read as empty, and paths that cannot be written (config-linux.md, "Masked Paths", "Readonly Paths").

use super::{
    filesystem::Filesystem,
    mounts::{Rootfs, attach, relative},
    options::Bind,
    target, trees,
};
use crate::error::Cannot;
use rustix::{
    fs::{FileType, Mode, OFlags, makedev},
    io::Errno,
};
use sampan_sys::mount::Attr;
use sampan_types::{Error, ErrorKind, Result};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// Hides what is at these paths: files behind the null device, directories behind one empty read-only tmpfs. Missing
/// ones are passed over.
pub(crate) fn mask(rootfs: &Rootfs<'_>, paths: &[PathBuf]) -> Result<()> {
    let mut masks = Masks::default();
    for path in paths {
        let target = match target::open(&rootfs.root, relative(path)) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            target => target.cannot(|| format!("open {} to mask it", path.display()))?,
        };
        let directory = target::is_directory(&target).cannot(|| format!("inspect {}", path.display()))?;
        let tree = if directory { masks.directory()? } else { masks.file()? };
        attach(&tree, &target).cannot(|| format!("mask {}", path.display()))?;
    }
    Ok(())
}

/// What hides.
#[derive(Default)]
struct Masks {
    null: Option<OwnedFd>,
    empty: Option<OwnedFd>,
}

impl Masks {
    /// The host's null device: the container's own could be anything by now.
    fn file(&mut self) -> Result<OwnedFd> {
        if self.null.is_none() {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let null =
                rustix::fs::open("/dev/null", flags, Mode::empty()).cannot(|| "open /dev/null".into())?;
            let stat = rustix::fs::fstat(&null).cannot(|| "inspect /dev/null".into())?;
            let right = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
                && stat.st_rdev == makedev(1, 3);
            if !right {
                return Err(Error::new(ErrorKind::Internal, "cannot mask files")
                    .because("/dev/null is no null device"));
            }
            self.null = Some(null);
        }
        match &self.null {
            Some(null) => trees::clone_at(null, Path::new(""), Bind::One),
            None => trees::clone(Path::new("/dev/null"), Bind::One),
        }
    }

    /// A first mount of the tmpfs, then clones of that, which is attached by the time they are made.
    fn directory(&mut self) -> Result<OwnedFd> {
        if let Some(empty) = &self.empty {
            return trees::clone_at(empty, Path::new(""), Bind::One);
        }
        let filesystem = Filesystem::open("tmpfs")?;
        filesystem.set("nr_blocks", b"1")?;
        let attr = Attr::RDONLY | Attr::NOSUID | Attr::NODEV | Attr::NOEXEC;
        let tree = filesystem.mount(attr)?;
        self.empty = Some(tree.try_clone().cannot(|| "keep a mount".into())?);
        Ok(tree)
    }
}

/// Shows these paths, with all that is mounted below them, read-only. Missing ones are passed over.
pub(crate) fn make_read_only(rootfs: &Rootfs<'_>, paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let target = match target::open(&rootfs.root, relative(path)) {
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            target => target.cannot(|| format!("open {} to make it read-only", path.display()))?,
        };
        let tree = trees::clone_at(&target, Path::new(""), Bind::All)?;
        trees::seal(&tree, false).cannot(|| format!("make {} read-only", path.display()))?;
        attach(&tree, &target).cannot(|| format!("make {} read-only", path.display()))?;
    }
    Ok(())
}
