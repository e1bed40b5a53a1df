//! What is this driver's own: its directories, and what killed processes leave in them.

use super::OverlaySnapshotter;
use crate::{Snapshotter, apply_layer};
use sampan_types::{ErrorKind, Mount};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

fn pool(root: &Path) -> PathBuf {
    root.join("snapshots/overlay")
}

#[test]
fn the_layout_is_as_documented() {
    let root = tempfile::tempdir().unwrap();
    let snapshots = OverlaySnapshotter::new(root.path());
    assert!(!pool(root.path()).exists());
    snapshots.prepare("a", None).unwrap();
    snapshots.commit("one", "a").unwrap();
    snapshots.prepare("a", Some("one")).unwrap();
    snapshots.commit("two", "a").unwrap();
    let mount = snapshots.prepare("box", Some("two")).unwrap();
    let pool = pool(root.path());
    assert_eq!(fs::metadata(&pool).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(
        mount,
        Mount::Overlay {
            lower: vec![pool.join("layers/two/fs"), pool.join("layers/one/fs")],
            upper: Some(pool.join("active/box/fs")),
            work: Some(pool.join("active/box/work")),
        }
    );
    assert_eq!(fs::read_to_string(pool.join("active/box/parents")).unwrap(), "two\none\n");
    assert!(!pool.join("layers/two/work").exists());
}

#[test]
fn a_removal_that_was_cut_short_is_finished_by_a_sweep() {
    let root = tempfile::tempdir().unwrap();
    let snapshots = OverlaySnapshotter::new(root.path());
    snapshots.prepare("kept", None).unwrap();
    let pool = pool(root.path());
    for left in ["tmp/0123456789abcdef/fs", "trash/0123456789abcdef/fs"] {
        fs::create_dir_all(pool.join(left)).unwrap();
    }
    snapshots.sweep().unwrap();
    assert_eq!(fs::read_dir(pool.join("tmp")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(pool.join("trash")).unwrap().count(), 0);
    assert_eq!(snapshots.walk().unwrap().len(), 1);
}

#[test]
fn a_commit_that_was_cut_short_is_done_again() {
    let root = tempfile::tempdir().unwrap();
    let snapshots = OverlaySnapshotter::new(root.path());
    snapshots.prepare("a", None).unwrap();
    // The first step of a commit has happened.
    fs::remove_dir(pool(root.path()).join("active/a/work")).unwrap();
    snapshots.commit("one", "a").unwrap();
    assert!(snapshots.stat("one").is_ok());
}

#[test]
fn a_filesystem_that_overlay_cannot_write_is_refused() {
    // On an overlay in a mount namespace of the test's own.
    if std::env::var_os("SAMPAN_TEST_ROOT").is_some() {
        let root = PathBuf::from(std::env::var_os("SAMPAN_TEST_ROOT").unwrap());
        let error = OverlaySnapshotter::new(&root).prepare("a", None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.to_string(), format!("cannot make the pool {}", pool(&root).display()));
        assert_eq!(error.causes(), ["it is on overlayfs, on which overlayfs cannot write"]);
        assert_eq!(error.remedy(), Some("--root on a filesystem such as ext4, xfs or btrfs"));
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let at = root.path().display();
    let script = format!(
        "cd {at}; mkdir l u w m; mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w m; exec \"$@\""
    );
    let this = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["-m", "sh", "-euc", &script, "sh"])
        .arg(this)
        .args(["--exact", "overlay::tests::a_filesystem_that_overlay_cannot_write_is_refused"])
        .env("SAMPAN_TEST_ROOT", root.path().join("m"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
fn the_root_of_an_upper_directory_is_as_its_parents() {
    let root = tempfile::tempdir().unwrap();
    let snapshots = OverlaySnapshotter::new(root.path());
    snapshots.prepare("a", None).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_path("./").unwrap();
    header.set_mode(0o1711);
    header.set_uid(3);
    header.set_gid(4);
    header.set_size(0);
    header.set_cksum();
    apply_layer(&header.as_bytes()[..], &snapshots.layer_target("a").unwrap()).unwrap();
    snapshots.commit("one", "a").unwrap();
    snapshots.prepare("box", Some("one")).unwrap();
    let metadata = fs::metadata(pool(root.path()).join("active/box/fs")).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), (0o1711, 3, 4));
}
