//! What layers say, one upon another.

use super::{
    Place,
    archives::Tar,
    tree::{self, What},
};
use rustix::fs::{XattrFlags, setxattr};
use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    process::Command,
};
use tar::EntryType;

/// What a command says of the overlay of all layers, mounted with `userxattr` in a user namespace of its own.
fn in_overlay(place: &Place, command: &str) -> String {
    let lower: Vec<_> = place.layers.iter().rev().map(|path| path.to_str().unwrap()).collect();
    let at = place.root.path().join("merged");
    fs::create_dir_all(&at).unwrap();
    let script = format!(
        "mount -t overlay overlay -o userxattr,lowerdir={} {at} && cd {at} && {command}",
        lower.join(":"),
        at = at.display()
    );
    let output = Command::new("unshare").args(["-Urm", "sh", "-euc", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().replace('\n', " ")
}

#[test]
fn deleted_and_opaque_directories_are_hidden() {
    let mut place = Place::new();
    let base = Tar::default()
        .file("gone", "x")
        .file("kept", "x")
        .file("opaque/old", "x")
        .file("replaced/old", "x")
        .file("tree/deep/file", "x");
    place.apply(&base.end()).unwrap();
    let edits = Tar::default()
        .file(".wh.gone", "")
        .directory("opaque")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/new", "x")
        .file(".wh.replaced", "")
        .directory("replaced")
        .file("replaced/new", "x")
        .file("tree/.wh.deep", "");
    place.apply(&edits.end()).unwrap();
    assert_eq!(
        in_overlay(&place, "find . -mindepth 1 | sort"),
        "./kept ./opaque ./opaque/new ./replaced ./replaced/new ./tree"
    );
}

#[test]
fn a_whiteout_is_about_the_layers_below_wherever_it_stands() {
    let mut place = Place::new();
    place.apply(&Tar::default().file("d/old", "x").file("f", "old").end()).unwrap();
    let edits =
        Tar::default().directory("d").file("d/new", "x").file("f", "new").file(".wh.d", "").file(".wh.f", "");
    place.apply(&edits.end()).unwrap();
    assert_eq!(in_overlay(&place, "find . -mindepth 1 | sort; cat f"), "./d ./d/new ./f new");
}

#[test]
fn in_the_lowest_layer_nothing_is_left_of_a_whiteout() {
    let mut place = Place::new();
    place.apply(&Tar::default().directory("d").file("d/.wh.x", "").file("d/.wh..wh..opq", "").end()).unwrap();
    let tree = tree::read(place.top());
    assert_eq!(tree.keys().collect::<Vec<_>>(), ["d"]);
    assert!(tree["d"].xattrs.is_empty());
}

#[test]
fn a_directory_that_is_only_mentioned_stays_as_it_was() {
    let mut place = Place::new();
    let base = Tar::default()
        .entry("spool/", EntryType::Directory, "", &[], |header| {
            header.set_mode(0o1735);
            header.set_uid(7);
            header.set_gid(8);
        })
        .file("spool/a", "x");
    place.apply(&base.end()).unwrap();
    setxattr(place.top().join("spool"), "user.x", b"y", XattrFlags::empty()).unwrap();
    let before = tree::read(place.top())["spool"].clone();
    place.apply(&Tar::default().file("spool/b", "x").end()).unwrap();
    assert_eq!(tree::read(place.top())["spool"], before);
    assert_eq!(in_overlay(&place, "ls -A spool"), "a b");
}

#[test]
fn a_path_through_a_link_of_a_layer_below() {
    let mut place = Place::new();
    place
        .apply(&Tar::default().directory("usr/lib").symlink("lib", "usr/lib").symlink("abs", "/lib").end())
        .unwrap();
    place.apply(&Tar::default().file("lib/one", "x").file("abs/two", "x").end()).unwrap();
    assert_eq!(in_overlay(&place, "readlink lib abs; ls usr/lib"), "usr/lib /lib one two");
}

#[test]
fn what_a_layer_has_deleted_lends_nothing_to_what_comes_later() {
    let mut place = Place::new();
    place.apply(&Tar::default().file("d/sub/old", "x").symlink("l", "d").end()).unwrap();
    chown(place.top().join("d/sub"), Some(7), Some(7)).unwrap();
    place.apply(&Tar::default().file(".wh.d", "").file(".wh.l", "").end()).unwrap();
    place.apply(&Tar::default().file("d/sub/new", "x").file("l/x", "x").end()).unwrap();
    assert_eq!(fs::metadata(place.top().join("d/sub")).unwrap().uid(), 0);
    assert_eq!(in_overlay(&place, "find d l | sort"), "d d/sub d/sub/new l l/x");
}

#[test]
fn a_hard_link_to_a_file_of_a_layer_below_brings_it_up() {
    let mut place = Place::new();
    let base =
        Tar::default().pax(&[("SCHILY.xattr.user.a", b"b"), ("mtime", b"5.5")]).file("d/original", "content");
    place.apply(&base.end()).unwrap();
    let original = tree::read(place.top())["d/original"].clone();
    place.apply(&Tar::default().hard_link("link", "d/original").end()).unwrap();
    let tree = tree::read(place.top());
    assert_eq!((&tree["link"], &tree["d/original"]), (&original, &original));
    assert_eq!(fs::metadata(place.top().join("link")).unwrap().nlink(), 2);
    let mut place = Place::new();
    place.apply(&Tar::default().file("f", "x").end()).unwrap();
    let error = place.apply(&Tar::default().file(".wh.f", "").hard_link("link", "f").end()).unwrap_err();
    assert_eq!(error.causes(), ["it is a hard link to \"f\", which is not there"]);
}

#[test]
fn later_entries_replace_earlier_ones() {
    let mut place = Place::new();
    let layer = Tar::default()
        .file("a", "one")
        .file("a", "two")
        .file("d/x", "x")
        .symlink("d", "a")
        .symlink("l", "nowhere")
        .directory("l")
        .directory("e")
        .file("e/kept", "x")
        .directory("e");
    place.apply(&layer.end()).unwrap();
    let tree = tree::read(place.top());
    assert_eq!(tree.keys().collect::<Vec<_>>(), ["a", "d", "e", "e/kept", "l"]);
    assert_eq!(tree["a"].what, What::File(b"two".to_vec()));
    assert_eq!(tree["d"].what, What::Link("a".into()));
    assert_eq!(tree["l"].what, What::Directory);
}

#[test]
fn the_root_has_attributes_too() {
    let mut place = Place::new();
    let layer = Tar::default().entry("./", EntryType::Directory, "", &[], |header| {
        header.set_mode(0o711);
        header.set_uid(5);
    });
    place.apply(&layer.file("./x", "x").end()).unwrap();
    let metadata = fs::metadata(place.top()).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.mtime()), (0o711, 5, 1_000_000_000));
}

#[test]
fn holes_stay_holes() {
    let check = |layer: Vec<u8>| {
        let mut place = Place::new();
        place.apply(&layer).unwrap();
        let path = place.top().join("sparse");
        let content = fs::read(&path).unwrap();
        assert_eq!(content.len(), 1 << 20);
        assert_eq!((&content[..5], &content[524_288..524_293]), (&b"begin"[..], &b"later"[..]));
        assert_eq!(content.iter().filter(|byte| **byte != 0).count(), 10);
        assert!(fs::metadata(&path).unwrap().blocks() < 64);
    };
    let records = |more: &[(&'static str, &'static [u8])]| {
        let mut records: Vec<(&str, &[u8])> = more.to_vec();
        records.push(("GNU.sparse.name", b"sparse"));
        records
    };
    let form_0_1 = records(&[("GNU.sparse.size", b"1048576"), ("GNU.sparse.map", b"0,5,524288,5")]);
    check(Tar::default().pax(&form_0_1).file("GNUSparseFile.1/sparse", "beginlater").end());
    let form_1_0 = records(&[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.realsize", b"1048576"),
    ]);
    let map = format!("{:\0<512}beginlater", "2\n0\n5\n524288\n5\n");
    check(Tar::default().pax(&form_1_0).file("GNUSparseFile.1/sparse", &map).end());
}

#[test]
fn gnu_tar_writes_sparse_files_that_come_back() {
    let source = tempfile::tempdir().unwrap();
    let file = fs::File::create(source.path().join("sparse")).unwrap();
    file.set_len(8 << 20).unwrap();
    for piece in 0..40u64 {
        use std::os::unix::fs::FileExt;
        file.write_all_at(&[b'x'; 4096], piece * 200_000 / 4096 * 4096).unwrap();
    }
    for form in ["--format=gnu", "--format=pax", "--sparse-version=0.0", "--sparse-version=0.1"] {
        let format = if form.starts_with("--format") { form } else { "--format=pax" };
        let output = Command::new("tar")
            .args([format, form, "-cS", "-C"])
            .arg(source.path())
            .arg("sparse")
            .output()
            .unwrap();
        assert!(output.status.success());
        assert!(output.stdout.len() < 400_000, "{form}: it is not sparse");
        let mut place = Place::new();
        place.apply(&output.stdout).unwrap();
        let same =
            fs::read(place.top().join("sparse")).unwrap() == fs::read(source.path().join("sparse")).unwrap();
        assert!(same, "{form}");
        assert!(fs::metadata(place.top().join("sparse")).unwrap().blocks() * 512 < 1 << 20, "{form}");
    }
}

#[test]
fn long_names_of_both_forms() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let mut place = Place::new();
    place.apply(&Tar::default().pax(&[("path", long.as_bytes())]).file("short", "x").end()).unwrap();
    assert!(place.top().join(&long).exists());
    let mut place = Place::new();
    let name = format!("{long}\0");
    let layer = Tar::default().entry("././@LongLink", EntryType::GNULongName, "", name.as_bytes(), |_| {});
    place.apply(&layer.file("short", "x").end()).unwrap();
    assert!(place.top().join(&long).exists());
}

#[test]
fn the_digest_is_of_every_byte() {
    let mut place = Place::new();
    let layer = Tar::default().file("a", "content").end();
    let applied = place.apply(&layer).unwrap();
    // sha256sum of the same bytes
    let output = Command::new("sha256sum").stdin(to_file(&layer)).output().unwrap();
    let digits = String::from_utf8(output.stdout).unwrap();
    assert_eq!(applied.diff_id.hex(), &digits[..64]);
    assert_eq!((applied.size, applied.entries), (7, 1));
    let padded = Tar::default().file("a", "content").raw(&[0; 10240]).end();
    assert_ne!(Place::new().apply(&padded).unwrap().diff_id, applied.diff_id);
}

fn to_file(bytes: &[u8]) -> fs::File {
    use std::io::{Seek, Write};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}
