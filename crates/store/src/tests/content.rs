//! Blobs, the layout, collection.

use super::{Fixture, add_image, blob};
use crate::Store;
use sampan_types::{Digest, ErrorKind};
use std::{fs, io::Write, path::Path};

fn files(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn a_blob_is_there_whole_or_not_at_all() {
    let fixture = Fixture::new();
    let content = fixture.root.path().join("content");
    let lease = fixture.store.lease().unwrap();
    let before = files(&content.join("blobs/sha256"));
    let mut writer = lease.writer().unwrap();
    writer.write_all(b"unfinished").unwrap();
    assert_eq!(files(&content.join("ingest")), 1);
    drop(writer);
    assert_eq!(files(&content.join("ingest")), 0);

    let mut writer = lease.writer().unwrap();
    writer.write_all(b"hello").unwrap();
    let expected = Digest::sha256([7; 32]);
    let error = writer.finish(Some(&expected)).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot store blob {expected}"));
    assert_eq!(
        error.causes(),
        ["what came has the digest sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"]
    );
    assert_eq!((files(&content.join("ingest")), files(&content.join("blobs/sha256"))), (0, before));

    let hello = blob(&lease, b"hello");
    assert_eq!(blob(&lease, b"hello"), hello, "again is no error");
    assert_eq!(fixture.store.read_blob(&hello.digest).unwrap(), b"hello");
    assert_eq!(fixture.store.blob_size(&hello.digest), Some(5));
    assert_eq!(fixture.store.blob_size(&expected), None);
    assert_eq!(fixture.store.open_blob(&expected).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_damaged_blob_is_noticed() {
    let fixture = Fixture::new();
    let lease = fixture.store.lease().unwrap();
    let hello = blob(&lease, b"hello");
    let path = fixture.root.path().join("content/blobs/sha256").join(hello.digest.hex());
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"hellO").unwrap();
    let error = fixture.store.read_blob(&hello.digest).unwrap_err();
    assert_eq!(error.causes(), ["its content does not have this digest: the disk has damaged it"]);
}

#[test]
fn a_collection_keeps_what_images_lead_to() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let image = add_image(store, "other", Some("other"));
    let stray = blob(&store.lease().unwrap(), b"stray");
    let collected = store.collect().unwrap().unwrap();
    assert_eq!((collected.blobs, collected.bytes), (vec![stray.digest], 5));
    store.delete_image(&image.digest).unwrap();
    assert_eq!(store.collect().unwrap().unwrap().blobs.len(), 3);
    assert_eq!(files(&fixture.root.path().join("content/blobs/sha256")), 3);
    assert!(store.collect().unwrap().unwrap().blobs.is_empty());
}

#[test]
fn a_lease_keeps_what_is_not_recorded_yet() {
    let fixture = Fixture::new();
    let other = Store::open(fixture.root.path()).unwrap();
    let lease = fixture.store.lease().unwrap();
    let fresh = blob(&lease, b"fresh");
    assert_eq!(other.collect().unwrap(), None);
    assert!(other.blob_size(&fresh.digest).is_some());
    drop(lease);
    assert_eq!(other.collect().unwrap().unwrap().blobs, [fresh.digest]);
}

#[test]
fn leftovers_of_killed_processes_go() {
    let fixture = Fixture::new();
    let ingest = fixture.root.path().join("content/ingest");
    fs::write(ingest.join("0123456789abcdef"), b"left").unwrap();
    let lease = fixture.store.lease().unwrap();
    assert_eq!(files(&ingest), 0);
    // What others are writing now is not left over.
    let writer = lease.writer().unwrap();
    drop(Store::open(fixture.root.path()).unwrap().lease().unwrap());
    assert_eq!(files(&ingest), 1);
    drop(writer);
}

#[test]
fn a_collection_removes_nothing_where_a_manifest_cannot_be_read() {
    let fixture = Fixture::new();
    let blobs = fixture.root.path().join("content/blobs/sha256");
    fs::remove_file(blobs.join(fixture.image.hex())).unwrap();
    let left = files(&blobs);
    assert_eq!(fixture.store.collect().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(files(&blobs), left);
}

#[test]
fn the_index_follows_the_names() {
    let fixture = Fixture::new();
    let names = || -> Vec<Option<String>> {
        let text = fs::read(fixture.root.path().join("content/index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let name = |entry: &serde_json::Value| {
            entry["annotations"]["org.opencontainers.image.ref.name"].as_str().map(str::to_owned)
        };
        index["manifests"].as_array().unwrap().iter().map(name).collect()
    };
    let other = add_image(&fixture.store, "other", Some("registry.test/team/app:1"));
    assert_eq!(names(), [Some("registry.test/team/app:1".into()), Some("base:latest".into())]);
    fixture.store.tag(&"app:2".parse().unwrap(), &other.digest).unwrap();
    assert_eq!(names().len(), 3);
    fixture.store.untag(&"base".parse().unwrap()).unwrap();
    assert_eq!(names()[2], None, "an image without a name stays listed");
    fixture.store.delete_image(&other.digest).unwrap();
    assert_eq!(names(), [None]);
}
