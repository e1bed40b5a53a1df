use super::*;
use std::{fs, os::unix::fs::symlink};

struct Root {
    directory: tempfile::TempDir,
    fd: OwnedFd,
}

fn root() -> Root {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("root")).unwrap();
    let fd = fs::File::open(directory.path().join("root")).unwrap().into();
    Root { directory, fd }
}

impl Root {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("root").join(name)
    }

    fn make(&self, path: &str, missing: Missing) -> Result<OwnedFd> {
        open_or_create(self.fd.as_fd(), Path::new(path), missing)
    }
}

#[test]
fn missing_targets_are_created_with_their_parents() {
    let root = root();
    let made = root.make("/a//b/./c", Missing::Directory).unwrap();
    assert!(is_directory(&made).unwrap() && root.path("a/b/c").is_dir());
    let made = root.make("a/x/../f", Missing::File).unwrap();
    assert!(!is_directory(&made).unwrap() && root.path("a/f").is_file());
}

#[test]
fn dangling_links_are_created_where_they_point_inside() {
    let root = root();
    let outside = root.directory.path().join("outside");
    symlink(&outside, root.path("absolute")).unwrap();
    symlink("../../../../relative-target", root.path("relative")).unwrap();
    symlink("absolute", root.path("chain")).unwrap();
    root.make("/chain/deep/f", Missing::File).unwrap();
    root.make("/relative", Missing::Directory).unwrap();
    assert!(!outside.exists(), "nothing is made outside");
    let inside = outside.strip_prefix("/").unwrap().to_str().unwrap();
    assert!(root.path(inside).join("deep/f").is_file());
    assert!(root.path("relative-target").is_dir());
}

#[test]
fn links_out_of_the_root_stay_inside() {
    let root = root();
    symlink("/etc", root.path("etc-link")).unwrap();
    assert_eq!(open(&root.fd, Path::new("etc-link/passwd")).unwrap_err(), Errno::NOENT);
    assert_eq!(open(&root.fd, Path::new("../../etc/passwd")).unwrap_err(), Errno::NOENT);
}

#[test]
fn a_loop_of_links_is_an_error() {
    let root = root();
    symlink("two", root.path("one")).unwrap();
    symlink("one", root.path("two")).unwrap();
    let error = root.make("/one", Missing::File).unwrap_err();
    assert_eq!(error.to_string(), "cannot open /one in the root filesystem");
}

#[test]
fn a_file_in_the_way_is_an_error() {
    let root = root();
    fs::write(root.path("file"), "").unwrap();
    let error = root.make("/file/below", Missing::File).unwrap_err();
    assert_eq!(error.causes(), ["Not a directory (os error 20)"]);
}
