//! Opening, by many and by others.

use crate::{Store, schema};
use sampan_types::ErrorKind;
use std::{fs, os::unix::fs::PermissionsExt};

#[test]
fn the_directory_is_made_for_its_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b");
    Store::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn many_make_it_at_once() {
    let root = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(Store::open(root.path()).unwrap().containers().unwrap().is_empty()));
        }
    });
}

#[test]
fn a_newer_schema_is_refused() {
    let root = tempfile::tempdir().unwrap();
    drop(Store::open(root.path()).unwrap());
    let connection = rusqlite::Connection::open(root.path().join("state.db")).unwrap();
    connection.pragma_update(None, "user_version", schema::LATEST + 1).unwrap();
    drop(connection);
    let error = Store::open(root.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.to_string(), format!("cannot open the records in {}/state.db", root.path().display()));
    assert_eq!(error.causes(), ["a newer sampan has written them (schema 2; this one knows up to 1)"]);
    assert_eq!(error.remedy(), Some("use that newer sampan, or another directory with --root"));
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("state.db"), "not a database, whatever its length may be".repeat(100))
        .unwrap();
    let error = Store::open(root.path()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot open the records in {}/state.db", root.path().display()));
}

#[test]
fn records_survive_closing() {
    let fixture = super::Fixture::new();
    let web = fixture.store.create_container(fixture.container("web")).unwrap();
    let root = fixture.root;
    drop(fixture.store);
    let again = Store::open(root.path()).unwrap();
    assert_eq!(again.container("web").unwrap(), web);
    assert_eq!(again.images().unwrap().len(), 1);
}
