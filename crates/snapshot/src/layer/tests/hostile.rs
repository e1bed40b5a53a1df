//! Archives from strangers: each ends in an error that names the entry, or in the right tree, with nothing outside touched.

use super::{Place, archives::Tar};
use sampan_types::ErrorKind;
use std::fs;
use tar::EntryType;

/// The error's text and its cause.
fn refused(layer: Vec<u8>) -> (String, String) {
    let mut place = Place::new();
    let error = place.apply(&layer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    (error.to_string(), error.causes().join(": "))
}

#[test]
fn names_that_lead_out() {
    let why = "its name has .. in it, and would leave the tree";
    for name in ["../outside/secret", "a/../../outside/secret", "..", "a/..", "/../outside/secret"] {
        let expected = (format!("cannot unpack {name:?}"), why.to_owned());
        assert_eq!(refused(Tar::default().file(name, "x").end()), expected);
        assert_eq!(refused(Tar::default().pax(&[("path", name.as_bytes())]).file("x", "x").end()), expected);
    }
    assert_eq!(refused(Tar::default().directory("..").end()).1, why);
}

#[test]
fn absolute_names_are_of_the_tree() {
    let mut place = Place::new();
    let secret = place.root.path().join("outside/secret");
    let name = secret.to_str().unwrap();
    place.apply(&Tar::default().file(name, "inside").end()).unwrap();
    assert_eq!(fs::read(place.top().join(name.trim_start_matches('/'))).unwrap(), b"inside");
}

#[test]
fn files_through_links_that_lead_out() {
    let outside = |place: &Place| place.root.path().join("outside").to_str().unwrap().to_owned();
    // With `outside` in the tree itself, that is where an absolute link leads to.
    let mut place = Place::new();
    let target = outside(&place);
    let layer =
        Tar::default().directory(&target).symlink("link", &target).file("link/secret", "inside").end();
    place.apply(&layer).unwrap();
    assert_eq!(fs::read(place.top().join(target.trim_start_matches('/')).join("secret")).unwrap(), b"inside");
    // Without, the directory is made in the tree, as the link has it.
    let mut place = Place::new();
    let target = outside(&place);
    place.apply(&Tar::default().symlink("link", &target).file("link/secret", "inside").end()).unwrap();
    assert_eq!(fs::read(place.top().join(target.trim_start_matches('/')).join("secret")).unwrap(), b"inside");
    let mut place = Place::new();
    place
        .apply(&Tar::default().symlink("link", "../../../../outside").file("link/secret", "inside").end())
        .unwrap();
    assert_eq!(fs::read(place.top().join("outside/secret")).unwrap(), b"inside");
}

#[test]
fn a_link_is_replaced_and_not_written_through() {
    let mut place = Place::new();
    let secret = place.root.path().join("outside/secret");
    let layer = Tar::default().symlink("file", secret.to_str().unwrap()).file("file", "inside").end();
    place.apply(&layer).unwrap();
    assert_eq!(fs::read(place.top().join("file")).unwrap(), b"inside");
    let mut place = Place::new();
    let outside = place.root.path().join("outside");
    let layer = Tar::default()
        .symlink("d", outside.to_str().unwrap())
        .directory("d")
        .file("d/secret", "inside")
        .end();
    place.apply(&layer).unwrap();
    assert_eq!(fs::read(place.top().join("d/secret")).unwrap(), b"inside");
    assert!(fs::symlink_metadata(place.top().join("d")).unwrap().is_dir());
}

#[test]
fn links_in_a_circle() {
    let (what, why) = refused(Tar::default().symlink("a", "b").symlink("b", "a").file("a/x", "x").end());
    assert_eq!(what, "cannot unpack \"a/x\"");
    assert!(why.contains("symbolic link"), "{why}");
}

#[test]
fn hard_links_that_lead_out() {
    let link = |target: &str| refused(Tar::default().hard_link("x", target).end());
    assert_eq!(link("../outside/secret").1, "its name has .. in it, and would leave the tree");
    let place = Place::new();
    let secret = place.root.path().join("outside/secret");
    let (what, why) = link(secret.to_str().unwrap());
    assert_eq!(what, "cannot unpack \"x\"");
    assert_eq!(why, format!("it is a hard link to {:?}, which is not there", secret.to_str().unwrap()));
    assert_eq!(link("x").1, "it is a hard link to \"x\", which is not there");
    assert_eq!(link("/").1, "it is a hard link to the root of the tree");
    // To a link: the link itself gets a second name; what it points at stays alone.
    let mut place = Place::new();
    let secret = place.root.path().join("outside/secret");
    let layer =
        Tar::default().symlink("s", secret.to_str().unwrap()).hard_link("x", "s").file("x", "inside").end();
    place.apply(&layer).unwrap();
    assert_eq!(fs::read(place.top().join("x")).unwrap(), b"inside");
    let mut place = Place::new();
    let outside = place.root.path().join("outside");
    let layer = Tar::default().symlink("s", outside.to_str().unwrap()).hard_link("x", "s/secret").end();
    let error = place.apply(&layer).unwrap_err();
    assert_eq!(error.causes(), ["it is a hard link to \"s/secret\", which is not there"]);
}

#[test]
fn devices_that_overlay_would_misread() {
    let (what, why) = refused(Tar::default().device("gone", EntryType::Char, 0, 0).end());
    assert_eq!(what, "cannot unpack \"gone\"");
    assert_eq!(why, "it is a character device 0/0, which overlayfs takes for a deleted file");
}

#[test]
fn whiteouts_of_what_is_no_name() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh..."] {
        let (what, why) = refused(Tar::default().directory("a").file(name, "").end());
        assert_eq!(
            (what, why),
            (format!("cannot unpack {name:?}"), "it deletes no file that could be".to_owned())
        );
    }
    // aufs left such marks in old images.
    let mut place = Place::new();
    place.apply(&Tar::default().file(".wh..wh.plnk/12.34", "x").file(".wh..wh.aufs", "").end()).unwrap();
    assert!(!place.top().join(".wh..wh.aufs").exists());
}

#[test]
fn attributes_by_which_overlay_would_be_led() {
    let mut place = Place::new();
    let layer = Tar::default()
        .pax(&[
            ("SCHILY.xattr.user.overlay.redirect", b"/outside"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.kept", b"yes"),
        ])
        .directory("d")
        .end();
    place.apply(&layer).unwrap();
    let tree = super::tree::read(place.top());
    assert_eq!(tree["d"].xattrs.keys().collect::<Vec<_>>(), ["user.kept"]);
}

#[test]
fn a_file_where_a_directory_is_needed() {
    let (what, why) = refused(Tar::default().file("a", "x").file("a/b", "y").end());
    assert_eq!(what, "cannot unpack \"a/b\"");
    assert!(why.contains("Not a directory"), "{why}");
    assert_eq!(
        refused(Tar::default().file("./", "").entry("/", EntryType::Symlink, "x", &[], |_| {}).end()).1,
        "it is not a directory, but stands for the root of the tree"
    );
}

#[test]
fn sizes_that_cannot_be() {
    let damaged = "cannot read the layer";
    let giant = |size: &'static [u8]| {
        Tar::default().entry("x", EntryType::Regular, "", &[], move |header| {
            header.as_mut_bytes()[124..124 + size.len()].copy_from_slice(size);
        })
    };
    let (what, why) = refused(giant(b"77777777777").end());
    assert_eq!(
        (what.as_str(), why.as_str()),
        ("cannot unpack \"x\"", "the archive ends in the middle of an entry")
    );
    let (what, why) = refused(giant(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").end());
    assert_eq!((what.as_str(), why.as_str()), (damaged, "the field size of a header is not a number"));
    let (what, why) = refused(giant(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").end());
    assert_eq!((what.as_str(), why.as_str()), (damaged, "the field size of a header is negative"));
    let (what, why) = refused(Tar::default().pax(&[("size", b"99999999999999999999")]).file("x", "").end());
    assert_eq!((what.as_str(), why.as_str()), (damaged, "the record size is not a number"));
    let long = vec![b'a'; 2 << 20];
    let (what, why) =
        refused(Tar::default().entry("././@LongLink", EntryType::GNULongName, "", &long, |_| {}).end());
    assert_eq!(
        (what.as_str(), why.as_str()),
        (damaged, "the extended headers of one entry are longer than 1 MiB")
    );
    let many = (0..2048).fold(Tar::default(), |tar, _| tar.pax(&[("comment", &[b'x'; 600])]));
    assert_eq!(
        refused(many.file("x", "").end()).1,
        "the extended headers of one entry are longer than 1 MiB"
    );
}

#[test]
fn owners_that_cannot_be() {
    let (what, why) = refused(Tar::default().pax(&[("uid", b"4294967295")]).file("x", "").end());
    assert_eq!(what, "cannot unpack \"x\"");
    assert_eq!(why, "its owner 4294967295:0 is no pair of 32-bit ids");
}

#[test]
fn archives_that_are_none() {
    for (layer, why) in [
        (vec![b'x'; 1024], "the field checksum of a header is not a number"),
        (Tar::default().file("x", "content").cut(700), "the archive ends in the middle of an entry"),
        (Tar::default().file("x", "content").cut(100), "the archive ends in the middle of an entry"),
        (
            Tar::default().entry("x", EntryType::new(b'Z'), "", &[], |_| {}).end(),
            "\"x\" is of an unknown type 'Z'",
        ),
    ] {
        assert_eq!(refused(layer).1, why);
    }
    let mut flipped = Tar::default().file("x", "content").end();
    flipped[5] ^= 1;
    assert_eq!(refused(flipped).1, "a header has a wrong checksum: this is no tar archive, or a damaged one");
}

#[test]
fn sparse_maps_that_cannot_be() {
    let sparse = |map: &[u8], content: &str| {
        refused(
            Tar::default()
                .pax(&[("GNU.sparse.map", map), ("GNU.sparse.size", b"100")])
                .file("x", content)
                .end(),
        )
        .1
    };
    let leaves = "the map of a sparse file leaves the file or overlaps itself";
    assert_eq!(sparse(b"90,20", "x"), leaves);
    assert_eq!(sparse(b"10,5,12,5", "0123456789"), leaves);
    assert_eq!(sparse(b"9223372036854775807,9223372036854775807", "x"), leaves);
    assert_eq!(sparse(b"0,5", "too long"), "the map of a sparse file does not fit what is stored of it");
    assert_eq!(sparse(b"0", ""), "the map of a sparse file is incomplete");
    let endless = "9".repeat(2048);
    let records: [(&str, &[u8]); 3] =
        [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"100")];
    let (_, why) = refused(Tar::default().pax(&records).file("x", &endless).end());
    assert_eq!(why, "the map of a sparse file is malformed");
}
