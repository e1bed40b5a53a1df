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
        open_or_create(self.fd.as_fd(), Path::new(path), missing, LastLink::Follow)
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

#[test]
fn a_last_link_can_be_meant_itself() {
    let root = root();
    symlink("nowhere", root.path("link")).unwrap();
    let made = |path: &str| {
        open_or_create(root.fd.as_fd(), Path::new(path), Missing::Directory, LastLink::Keep).unwrap()
    };
    assert!(is_link(made("link")).unwrap() && !root.path("nowhere").exists());
    // Links on the way are followed all the same.
    assert!(is_directory(made("link/below")).unwrap() && root.path("nowhere/below").is_dir());
}

#[test]
fn directories_keep_the_group_of_their_parent() {
    use std::os::unix::fs::PermissionsExt;
    let root = root();
    fs::create_dir(root.path("shared")).unwrap();
    fs::set_permissions(root.path("shared"), fs::Permissions::from_mode(0o2777)).unwrap();
    root.make("shared/a/b", Missing::Directory).unwrap();
    for path in ["shared/a", "shared/a/b"] {
        let mode = fs::metadata(root.path(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o2000, 0o2000, "{path}: {mode:o}");
    }
}

/// Somebody swaps a directory for a link out of the root all the time (CVE-2021-30465). Whatever wins, what is made is inside.
#[test]
fn races_are_lost_by_who_swaps_directories() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let root = root();
    let outside = root.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir(root.path("d")).unwrap();
    symlink("../../outside", root.path("l")).unwrap();
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !end.load(Ordering::Relaxed) {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(&root.fd, "d", &root.fd, "l", flags).unwrap();
            }
        });
        for round in 0..3000 {
            let missing = if round % 2 == 0 { Missing::Directory } else { Missing::File };
            // It may also fail, where the link points at nothing yet.
            let _ = root.make(&format!("d/made-{round}/deep"), missing);
        }
        end.store(true, Ordering::Relaxed);
    });
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "something was made outside");
}
