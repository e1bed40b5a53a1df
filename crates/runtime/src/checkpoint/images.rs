//! The directories of a checkpoint: images, work files, the parent's images.

use super::options::Criu;
use crate::{
    error::{Cannot, invalid},
    rootfs::{options::Bind, trees},
};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use sampan_sys::mount::Change;
use sampan_types::{Error, ErrorKind, Result};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Their paths. CRIU's process opens them itself, in its own mount namespace.
#[derive(Debug)]
pub(super) struct Images {
    pub(super) path: PathBuf,
    work: Option<PathBuf>,
}

impl Images {
    /// Makes those that are missing.
    pub(super) fn make(criu: &Criu) -> Result<Self> {
        make(&criu.images)?;
        Self::find(criu)
    }

    /// The images must be there.
    pub(super) fn find(criu: &Criu) -> Result<Self> {
        open(&criu.images)?;
        if let Some(work) = &criu.work {
            make(work)?;
        }
        Ok(Self { path: criu.images.clone(), work: criu.work.clone() })
    }

    /// Opens them for CRIU, in whose process this runs: the images, and what is worked in.
    pub(super) fn open(&self) -> Result<[OwnedFd; 2]> {
        Ok([open(&self.path)?, self.open_work()?])
    }

    /// The same for a container that has a user namespace. Its processes read images first as the runtime's user and later as their
    /// own root, so they are let in by the group that they are seen to have: `userns` maps groups as the container's does.
    pub(super) fn open_for(&self, userns: &OwnedFd) -> Result<[OwnedFd; 2]> {
        let_group_read(&self.path)?;
        let tree = trees::clone(&self.path, Bind::One)?;
        Change { idmap: Some(userns.as_fd()), ..Change::default() }.apply(&tree).map_err(|error| {
            let what = format!("cannot show {} to the container's user namespace", self.path.display());
            match Errno::from_io_error(&error) {
                Some(Errno::INVAL) => Error::new(ErrorKind::Unsupported, what)
                    .because("this filesystem cannot map ids")
                    .hint("keep the images on ext4, xfs, btrfs, or tmpfs from Linux 6.3 on"),
                _ => Error::io(what, error),
            }
        })?;
        // A copy that stays open at `execve`.
        let tree = rustix::io::dup(&tree).cannot(|| "pass the images on".into())?;
        Ok([tree, self.open_work()?])
    }

    fn open_work(&self) -> Result<OwnedFd> {
        open(self.work.as_ref().unwrap_or(&self.path))
    }

    /// Where CRIU writes a log of this name.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.work.as_ref().unwrap_or(&self.path).join(name)
    }
}

/// CRIU makes images for their owner alone.
fn let_group_read(path: &Path) -> Result<()> {
    let change = |path: &Path, mode| {
        rustix::fs::chmod(path, Mode::from_raw_mode(mode))
            .cannot(|| format!("change the mode of {}", path.display()))
    };
    let listed = || format!("list {}", path.display());
    for entry in std::fs::read_dir(path).cannot(listed)? {
        let entry = entry.cannot(listed)?;
        if entry.file_type().cannot(listed)?.is_file() {
            change(&entry.path(), 0o640)?;
        }
    }
    change(path, 0o750)
}

/// Pages in the clear: for the caller alone.
fn make(path: &Path) -> Result<()> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(Error::io(format!("mkdir {}", path.display()), errno.into())),
    }
}

/// It stays open at `execve`.
fn open(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
        .cannot(|| format!("open {}", path.display()))
}

/// Refuses a parent that is none: CRIU makes a link to it beside the images, which is to hold wherever they are moved together. The
/// sentences are runc's.
pub(super) fn check_parent(images: &Path, parent: &Path) -> Result<()> {
    if parent.is_absolute() {
        return Err(Error::new(ErrorKind::InvalidInput, "--parent-path must be relative"));
    }
    let path = images.join(parent);
    let what = "invalid --parent-path";
    match rustix::fs::stat(&path) {
        Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() => Ok(()),
        Ok(_) => Err(invalid(what, format!("{}: not a directory", path.display()))),
        Err(errno) => Err(Error::new(ErrorKind::InvalidInput, what)
            .because(Error::io(format!("stat {}", path.display()), errno.into()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_a_directory_beside_the_images() {
        let directory = tempfile::tempdir().unwrap();
        let images = directory.path().join("images");
        std::fs::create_dir(&images).unwrap();
        std::fs::create_dir(directory.path().join("before")).unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        let check = |parent: &str| check_parent(&images, Path::new(parent));
        check("../before").unwrap();
        assert_eq!(check("/before").unwrap_err().to_string(), "--parent-path must be relative");
        let missing = check("../gone").unwrap_err();
        assert_eq!(missing.to_string(), "invalid --parent-path");
        assert!(missing.causes()[0].starts_with("stat "), "{:?}", missing.causes());
        assert!(check("../file").unwrap_err().causes()[0].ends_with("file: not a directory"));
    }

    #[test]
    fn images_must_be_there_for_a_restore() {
        let directory = tempfile::tempdir().unwrap();
        let criu = Criu { images: directory.path().join("images"), ..Criu::default() };
        assert_eq!(Images::find(&criu).unwrap_err().kind(), ErrorKind::NotFound);
        let made = Images::make(&criu).unwrap();
        assert_eq!(made.log("dump.log"), criu.images.join("dump.log"));
        Images::make(&criu).unwrap().open().unwrap();
    }
}
