//! The root filesystem as a union of directories, made inside the container's namespaces.
//!
//! In a user namespace the directories come as detached trees with mapped ids. The kernel refuses a union of trees that
//! are attached nowhere, and one that is made outside the user namespace comes up read-only; so the trees are first
//! attached in the container's mount namespace, over its root where no path look-up passes, and detached afterwards: the
//! union keeps its own hold on them, and the container never sees them.

use super::filesystem::Filesystem;
use crate::error::Cannot;
use rustix::{
    fs::{AtFlags, Mode, OFlags, StatxFlags},
    mount::{MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags},
};
use sampan_sys::mount::Attr;
use sampan_types::Result;
use std::{
    ffi::CString,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

/// The directories of a union.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Union<'a> {
    /// Read-only layers, the topmost first.
    pub(crate) lower: &'a [PathBuf],
    /// The writable layer and overlay's work directory.
    pub(crate) upper: Option<(&'a Path, &'a Path)>,
}

/// The directories to clone so that all of a union's are in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Anchors {
    /// One holds all: they are on one mount.
    Common(PathBuf),
    /// Each by itself, lower ones first, then upper and work.
    Each,
}

impl Union<'_> {
    fn directories(&self) -> impl Iterator<Item = &Path> {
        let upper = self.upper.into_iter().flat_map(|(upper, work)| [upper, work]);
        self.lower.iter().map(PathBuf::as_path).chain(upper)
    }

    /// One clone with its id map instead of one for each directory saves system calls; it is right only when nothing is
    /// mounted in between, which the mount ids tell.
    pub(crate) fn anchors(&self) -> Result<Anchors> {
        let Some(common) =
            self.directories().map(Path::to_path_buf).reduce(|one, two| common_parent(&one, &two))
        else {
            return Ok(Anchors::Each);
        };
        let mount = mount_id(&common)?;
        for directory in self.directories() {
            if mount_id(directory)? != mount {
                return Ok(Anchors::Each);
            }
        }
        Ok(Anchors::Common(common))
    }

    /// The directories to clone.
    pub(crate) fn cloned<'a>(&'a self, anchors: &'a Anchors) -> Vec<&'a Path> {
        match anchors {
            Anchors::Common(parent) => vec![parent],
            Anchors::Each => self.directories().collect(),
        }
    }

    /// Makes the union from where the directories are.
    pub(crate) fn mount(&self) -> Result<OwnedFd> {
        let lower: Vec<_> = self.lower.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect();
        let upper = self.upper.map(|(upper, work)| (bytes(upper), bytes(work)));
        make(&lower, upper)
    }

    /// Makes the union from clones of the anchors.
    pub(crate) fn mount_from(&self, anchors: &Anchors, trees: Vec<OwnedFd>) -> Result<OwnedFd> {
        for tree in &trees {
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
            rustix::mount::move_mount(tree, "", rustix::fs::CWD, "/", flags)
                .cannot(|| "attach a layer of the root filesystem".into())?;
        }
        let names: Vec<Vec<u8>> = match (anchors, trees.first()) {
            (Anchors::Common(parent), Some(tree)) => {
                // Short relative names: the kernel takes 255 bytes.
                rustix::process::fchdir(tree).cannot(|| "enter the layers' directory".into())?;
                self.directories().map(|path| bytes(path.strip_prefix(parent).unwrap_or(path))).collect()
            }
            _ => {
                trees.iter().map(|tree| format!("/proc/self/fd/{}", tree.as_raw_fd()).into_bytes()).collect()
            }
        };
        let (lower, rest) = names.split_at(self.lower.len());
        let upper = match rest {
            [upper, work] => Some((upper.clone(), work.clone())),
            _ => None,
        };
        let union = make(lower, upper);
        for tree in trees.into_iter().rev() {
            rustix::process::fchdir(&tree)
                .and_then(|()| rustix::mount::unmount(".", UnmountFlags::DETACH))
                .cannot(|| "detach a layer of the root filesystem".into())?;
        }
        rustix::process::chdir("/").cannot(|| "enter /".into())?;
        union
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() { b".".to_vec() } else { bytes.to_vec() }
}

/// `userxattr`, so that the marks of removed and replaced directories are the same with and without a user namespace,
/// and a container can change from one to the other.
fn make(lower: &[Vec<u8>], upper: Option<(Vec<u8>, Vec<u8>)>) -> Result<OwnedFd> {
    let filesystem = Filesystem::open("overlay")?;
    filesystem.set("source", b"overlay")?;
    filesystem.set_flag("userxattr")?;
    for layer in lower {
        match filesystem.set("lowerdir+", layer) {
            // One parameter a layer came with Linux 6.5.
            Err(error) if error.causes().concat().contains("Unknown parameter") => {
                return make_at_once(lower, upper);
            }
            result => result?,
        }
    }
    if let Some((upper, work)) = &upper {
        filesystem.set("upperdir", upper)?;
        filesystem.set("workdir", work)?;
    }
    // Before Linux 6.5 no parameter is looked at until here, where `lowerdir+` turns out to be unknown.
    filesystem.mount(Attr::default()).or_else(|_| make_at_once(lower, upper)).map_err(|error| {
        error.hint("overlay in a user namespace needs Linux 5.11, and a filesystem with extended attributes and d_type")
    })
}

/// The same by mount(2), which takes all in a page of text.
fn make_at_once(lower: &[Vec<u8>], upper: Option<(Vec<u8>, Vec<u8>)>) -> Result<OwnedFd> {
    let mut data = b"userxattr,lowerdir=".to_vec();
    data.extend(lower.iter().map(|path| escaped(path)).collect::<Vec<_>>().join(&b':'));
    if let Some((upper, work)) = &upper {
        for (key, path) in [(&b",upperdir="[..], upper), (&b",workdir="[..], work)] {
            data.extend_from_slice(key);
            data.extend(escaped(path));
        }
    }
    let data = CString::new(data).cannot(|| "name the layers of the root filesystem".into())?;
    rustix::mount::mount("overlay", "/", "overlay", MountFlags::empty(), data.as_c_str())
        .cannot(|| "mount overlay on the root filesystem".into())?;
    // The way up from the root leads to what is mounted over it.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let attached =
        rustix::fs::open("/..", flags, Mode::empty()).cannot(|| "open the root filesystem".into())?;
    // What is given out is attached nowhere, as what fsmount(2) gives.
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree =
        rustix::mount::open_tree(&attached, "", flags).cannot(|| "take the root filesystem off".into())?;
    rustix::process::fchdir(&attached)
        .and_then(|()| rustix::mount::unmount(".", UnmountFlags::DETACH))
        .cannot(|| "take the root filesystem off".into())?;
    Ok(tree)
}

fn escaped(path: &[u8]) -> Vec<u8> {
    path.iter().fold(Vec::with_capacity(path.len()), |mut text, &byte| {
        if matches!(byte, b':' | b',' | b'\\') {
            text.push(b'\\');
        }
        text.push(byte);
        text
    })
}

fn common_parent(one: &Path, two: &Path) -> PathBuf {
    one.components().zip(two.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

fn mount_id(path: &Path) -> Result<u64> {
    rustix::fs::statx(rustix::fs::CWD, path, AtFlags::empty(), StatxFlags::MNT_ID)
        .map(|status| status.stx_mnt_id)
        .cannot(|| format!("find the layer {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_one_mount_have_one_anchor() {
        let pool = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = pool.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let lower = [make("layers/a"), make("layers/b")];
        let (upper, work) = (make("rw/fs"), make("rw/work"));
        let union = Union { lower: &lower, upper: Some((&upper, &work)) };
        assert_eq!(union.anchors().unwrap(), Anchors::Common(pool.path().to_path_buf()));
        let union = Union { lower: &lower, upper: None };
        assert_eq!(union.anchors().unwrap(), Anchors::Common(pool.path().join("layers")));
        let apart = [lower[0].clone(), "/proc".into()];
        assert_eq!(Union { lower: &apart, upper: None }.anchors().unwrap(), Anchors::Each);
    }

    #[test]
    fn a_missing_layer_is_named() {
        let lower = [PathBuf::from("/none/layer")];
        let error = Union { lower: &lower, upper: None }.anchors().unwrap_err();
        assert_eq!(error.to_string(), "cannot find the layer /none/layer");
    }

    #[test]
    fn separators_in_names_are_escaped() {
        assert_eq!(escaped(br"a:b,c\d"), br"a\:b\,c\\d");
    }
}
