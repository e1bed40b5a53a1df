//! The suite that every driver of [`Snapshotter`] passes: what its documentation promises, by way of the trait alone.
//!
//! Mounts are made in a mount namespace of the test's own, so it needs root.

// What clippy allows in functions marked as tests is as right in those they call.
#![allow(clippy::unwrap_used, clippy::panic)]

use sampan_snapshot::{OverlaySnapshotter, Snapshot, SnapshotKind, Snapshotter, apply_layer};
use sampan_types::{ErrorKind, Mount, Result};
use std::{path::Path, process::Command};

/// One case of the suite.
type Case = fn(&dyn Snapshotter, &Path);

const SUITE: [(&str, Case); 11] = [
    ("layers add up", layers_add_up),
    ("a snapshot is written and keeps it", a_snapshot_is_written_and_keeps_it),
    ("snapshots of one parent are apart", snapshots_of_one_parent_are_apart),
    ("a view cannot be written", a_view_cannot_be_written),
    ("keys are taken once", keys_are_taken_once),
    ("only committed ones are parents", only_committed_ones_are_parents),
    ("parents outlive their children", parents_outlive_their_children),
    ("a missing key is not found", a_missing_key_is_not_found),
    ("keys are plain names", keys_are_plain_names),
    ("all are listed and measured", all_are_listed_and_measured),
    ("of many at once one wins", of_many_at_once_one_wins),
];

fn run(driver: impl Fn(&Path) -> Box<dyn Snapshotter>) {
    for (name, case) in SUITE {
        println!("{name}");
        let root = tempfile::tempdir().unwrap();
        case(&*driver(root.path()), root.path());
    }
}

#[test]
fn overlay() {
    run(|root| Box::new(OverlaySnapshotter::new(root)));
}

/// An archive of files with their content.
fn layer(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn add_layer(snapshots: &dyn Snapshotter, name: &str, parent: Option<&str>, files: &[(&str, &str)]) {
    let key = format!("unpack-{name}");
    snapshots.prepare(&key, parent).unwrap();
    apply_layer(&*layer(files), &snapshots.layer_target(&key).unwrap()).unwrap();
    snapshots.commit(name, &key).unwrap();
}

/// Runs a command in the mounted snapshot. `Err` has what it said.
fn within(mount: &Mount, root: &Path, command: &str) -> Result<String, String> {
    let at = root.join("mounted");
    std::fs::create_dir_all(&at).unwrap();
    let at = at.display();
    let mounting = match mount {
        Mount::Bind { source, read_only } => {
            let remount = if *read_only { format!("mount -o remount,bind,ro {at}") } else { "true".into() };
            format!("mount --bind {} {at}; {remount}", source.display())
        }
        Mount::Overlay { lower, upper, work } => {
            let lower: Vec<_> = lower.iter().map(|path| path.display().to_string()).collect();
            let mut options = format!("userxattr,lowerdir={}", lower.join(":"));
            if let (Some(upper), Some(work)) = (upper, work) {
                options.push_str(&format!(",upperdir={},workdir={}", upper.display(), work.display()));
            }
            format!("mount -t overlay overlay -o {options} {at}")
        }
    };
    let script = format!("{mounting}; cd {at}; {command}");
    let output = Command::new("unshare").args(["-m", "sh", "-euc", &script]).output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap().trim().replace('\n', " ")),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

fn kind_of<T>(result: Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error.kind(),
    }
}

fn layers_add_up(snapshots: &dyn Snapshotter, root: &Path) {
    add_layer(snapshots, "c1", None, &[("a", "one"), ("b", "one"), ("d/x", "")]);
    add_layer(
        snapshots,
        "c2",
        Some("c1"),
        &[("b", "two"), (".wh.a", ""), ("d/.wh..wh..opq", ""), ("d/y", "")],
    );
    add_layer(snapshots, "c3", Some("c2"), &[("c", "three")]);
    let mount = snapshots.prepare("container", Some("c3")).unwrap();
    assert_eq!(within(&mount, root, "find . -type f | sort; cat b c").unwrap(), "./b ./c ./d/y twothree");
    let first = snapshots.prepare("first", Some("c1")).unwrap();
    assert_eq!(within(&first, root, "cat a b; ls d").unwrap(), "oneonex");
}

fn a_snapshot_is_written_and_keeps_it(snapshots: &dyn Snapshotter, root: &Path) {
    add_layer(snapshots, "c1", None, &[("a", "one"), ("b", "one")]);
    let mount = snapshots.prepare("container", Some("c1")).unwrap();
    within(&mount, root, "echo changed > a; rm b; mkdir d; chown 5:6 .; chmod 711 .").unwrap();
    assert_eq!(snapshots.mounts("container").unwrap(), mount);
    assert_eq!(within(&mount, root, "cat a; ls; stat -c %a:%u:%g .").unwrap(), "changed a d 711:5:6");
    snapshots.commit("c2", "container").unwrap();
    let next = snapshots.prepare("container", Some("c2")).unwrap();
    assert_eq!(within(&next, root, "cat a; ls; stat -c %a:%u:%g .").unwrap(), "changed a d 711:5:6");
    let old = snapshots.view("old", "c1").unwrap();
    assert_eq!(within(&old, root, "cat a; ls").unwrap(), "onea b", "its parent has not changed");
}

fn snapshots_of_one_parent_are_apart(snapshots: &dyn Snapshotter, root: &Path) {
    add_layer(snapshots, "c1", None, &[("a", "one")]);
    let one = snapshots.prepare("one", Some("c1")).unwrap();
    let two = snapshots.prepare("two", Some("c1")).unwrap();
    within(&one, root, "echo mine > a; echo mine > b").unwrap();
    assert_eq!(within(&two, root, "cat a; ls").unwrap(), "onea");
}

fn a_view_cannot_be_written(snapshots: &dyn Snapshotter, root: &Path) {
    add_layer(snapshots, "c1", None, &[("a", "one")]);
    add_layer(snapshots, "c2", Some("c1"), &[("b", "two")]);
    for parent in ["c1", "c2"] {
        let key = format!("view-{parent}");
        let mount = snapshots.view(&key, parent).unwrap();
        assert_eq!(within(&mount, root, "cat a").unwrap(), "one");
        let error = within(&mount, root, "touch c").unwrap_err();
        assert!(error.contains("Read-only file system"), "{error}");
        assert_eq!(kind_of(snapshots.layer_target(&key)), ErrorKind::Conflict);
        assert_eq!(kind_of(snapshots.commit("c3", &key)), ErrorKind::Conflict);
    }
}

fn keys_are_taken_once(snapshots: &dyn Snapshotter, _: &Path) {
    add_layer(snapshots, "c1", None, &[]);
    snapshots.prepare("active", Some("c1")).unwrap();
    snapshots.view("view", "c1").unwrap();
    for key in ["c1", "active", "view"] {
        assert_eq!(kind_of(snapshots.prepare(key, None)), ErrorKind::AlreadyExists, "{key}");
        assert_eq!(kind_of(snapshots.view(key, "c1")), ErrorKind::AlreadyExists, "{key}");
        assert_eq!(kind_of(snapshots.commit(key, "active")), ErrorKind::AlreadyExists, "{key}");
    }
    assert_eq!(snapshots.stat("active").unwrap().kind, SnapshotKind::Active, "a failed commit leaves it");
    snapshots.remove("view").unwrap();
    snapshots.prepare("view", None).unwrap();
}

fn only_committed_ones_are_parents(snapshots: &dyn Snapshotter, _: &Path) {
    add_layer(snapshots, "c1", None, &[]);
    snapshots.prepare("active", Some("c1")).unwrap();
    assert_eq!(kind_of(snapshots.prepare("child", Some("active"))), ErrorKind::Conflict);
    assert_eq!(kind_of(snapshots.view("child", "active")), ErrorKind::Conflict);
    assert_eq!(kind_of(snapshots.mounts("c1")), ErrorKind::Conflict);
    assert_eq!(kind_of(snapshots.layer_target("c1")), ErrorKind::Conflict);
    assert_eq!(kind_of(snapshots.commit("c2", "c1")), ErrorKind::Conflict);
    assert_eq!(kind_of(snapshots.stat("child")), ErrorKind::NotFound);
}

fn parents_outlive_their_children(snapshots: &dyn Snapshotter, _: &Path) {
    add_layer(snapshots, "c1", None, &[]);
    add_layer(snapshots, "c2", Some("c1"), &[]);
    snapshots.prepare("active", Some("c2")).unwrap();
    let error = snapshots.remove("c1").unwrap_err();
    assert_eq!(error.to_string(), "cannot remove snapshot c1");
    assert_eq!((error.kind(), error.causes()), (ErrorKind::Conflict, vec!["c2 builds on it".to_owned()]));
    assert_eq!(kind_of(snapshots.remove("c2")), ErrorKind::Conflict);
    for key in ["active", "c2", "c1"] {
        snapshots.remove(key).unwrap();
        assert_eq!(kind_of(snapshots.stat(key)), ErrorKind::NotFound);
    }
    assert!(snapshots.walk().unwrap().is_empty());
}

fn a_missing_key_is_not_found(snapshots: &dyn Snapshotter, _: &Path) {
    assert!(snapshots.walk().unwrap().is_empty());
    snapshots.sweep().unwrap();
    assert_eq!(kind_of(snapshots.prepare("x", Some("missing"))), ErrorKind::NotFound);
    assert_eq!(kind_of(snapshots.view("x", "missing")), ErrorKind::NotFound);
    assert_eq!(kind_of(snapshots.mounts("missing")), ErrorKind::NotFound);
    assert_eq!(kind_of(snapshots.layer_target("missing")), ErrorKind::NotFound);
    assert_eq!(kind_of(snapshots.commit("x", "missing")), ErrorKind::NotFound);
    assert_eq!(kind_of(snapshots.remove("missing")), ErrorKind::NotFound);
    assert_eq!(kind_of(snapshots.stat("missing")), ErrorKind::NotFound);
    assert_eq!(kind_of(snapshots.usage("missing")), ErrorKind::NotFound);
    assert!(snapshots.walk().unwrap().is_empty());
}

fn keys_are_plain_names(snapshots: &dyn Snapshotter, _: &Path) {
    let long = "x".repeat(129);
    for key in ["", ".", "..", "../x", "a/b", "a:b", "-x", "ä1", &long] {
        assert_eq!(kind_of(snapshots.prepare(key, None)), ErrorKind::InvalidInput, "{key}");
        assert_eq!(kind_of(snapshots.remove(key)), ErrorKind::InvalidInput, "{key}");
    }
    snapshots.prepare(&long[..128], None).unwrap();
}

fn all_are_listed_and_measured(snapshots: &dyn Snapshotter, root: &Path) {
    add_layer(snapshots, "c1", None, &[("a", &"x".repeat(100_000))]);
    let mount = snapshots.prepare("active", Some("c1")).unwrap();
    snapshots.view("view", "c1").unwrap();
    let mut listed = snapshots.walk().unwrap();
    listed.sort();
    let snapshot = |key: &str, kind, parent: Option<&str>| Snapshot {
        key: key.into(),
        kind,
        parent: parent.map(str::to_owned),
    };
    let expected = [
        snapshot("active", SnapshotKind::Active, Some("c1")),
        snapshot("c1", SnapshotKind::Committed, None),
        snapshot("view", SnapshotKind::View, Some("c1")),
    ];
    assert_eq!(listed, expected);
    assert_eq!(snapshots.stat("active").unwrap(), expected[0]);
    let usage = snapshots.usage("c1").unwrap();
    assert!((100_000..120_000).contains(&usage.bytes) && usage.inodes == 2, "{usage:?}");
    let empty = snapshots.usage("active").unwrap();
    assert!(empty.bytes < 10_000, "without its parents: {empty:?}");
    within(&mount, root, "head -c 500000 /dev/urandom > b; ln b c; sync -f .").unwrap();
    let usage = snapshots.usage("active").unwrap();
    assert!(
        (500_000..540_000).contains(&usage.bytes) && usage.inodes == 2,
        "hard links count once: {usage:?}"
    );
}

fn of_many_at_once_one_wins(snapshots: &dyn Snapshotter, _: &Path) {
    add_layer(snapshots, "c1", None, &[("a", "one")]);
    let won = |work: &(dyn Fn(usize) -> Result<()> + Sync)| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || work(number))).collect();
            let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            results.iter().filter(|result| result.is_ok()).count()
        })
    };
    assert_eq!(won(&|_| snapshots.prepare("same", Some("c1")).map(drop)), 1);
    for number in 0..8 {
        snapshots.prepare(&format!("active-{number}"), Some("c1")).unwrap();
    }
    assert_eq!(won(&|number| snapshots.commit("c2", &format!("active-{number}"))), 1);
    assert_eq!(won(&|_| snapshots.remove("same")), 1);
    let prepared = won(&|number| match number {
        0 => snapshots.remove("c2"),
        number => snapshots.prepare(&format!("child-{number}"), Some("c2")).map(drop),
    });
    // Either the parent went first, and nothing was made on it, or it stayed.
    let children =
        snapshots.walk().unwrap().into_iter().filter(|one| one.parent.as_deref() == Some("c2")).count();
    match snapshots.stat("c2") {
        Ok(_) => assert_eq!(children, prepared),
        Err(_) => assert_eq!((children, prepared), (0, 1)),
    }
}
