//! Reading a tree back, whole.

use rustix::fs::{lgetxattr, llistxattr};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

/// Everything that a layer says about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) what: What,
    /// Permissions; 0o777 for symbolic links.
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) mtime: (i64, i64),
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Directory,
    File(Vec<u8>),
    Link(String),
    Fifo,
    Device(char, u64),
}

/// Every file under `root` by its path.
pub(super) fn read(root: &Path) -> BTreeMap<String, Seen> {
    let mut tree = BTreeMap::new();
    walk(root, root, &mut tree);
    tree
}

fn walk(root: &Path, directory: &Path, tree: &mut BTreeMap<String, Seen>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let kind = metadata.file_type();
        let what = if kind.is_dir() {
            walk(root, &path, tree);
            What::Directory
        } else if kind.is_file() {
            What::File(fs::read(&path).unwrap())
        } else if kind.is_symlink() {
            What::Link(fs::read_link(&path).unwrap().into_os_string().into_string().unwrap())
        } else if kind.is_fifo() {
            What::Fifo
        } else {
            What::Device(if kind.is_char_device() { 'c' } else { 'b' }, metadata.rdev())
        };
        let seen = Seen {
            what,
            mode: metadata.mode() & 0o7777,
            owner: (metadata.uid(), metadata.gid()),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            xattrs: xattrs(&path),
        };
        tree.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), seen);
    }
}

fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0; 4096];
    let length = llistxattr(path, &mut names[..]).unwrap();
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let name = std::str::from_utf8(name).unwrap().to_owned();
            let mut value = vec![0; 4096];
            let length = lgetxattr(path, &*name, &mut value[..]).unwrap();
            value.truncate(length);
            (name, value)
        })
        .collect()
}
