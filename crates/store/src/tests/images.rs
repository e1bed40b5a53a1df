//! Images and their names.

use super::{Fixture, add_image};
use sampan_types::{ErrorKind, ImageRef};

fn reference(name: &str) -> ImageRef {
    name.parse().unwrap()
}

#[test]
fn found_by_name_digest_and_beginning() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let image = store.image(&reference("base")).unwrap();
    assert_eq!(image.references, [reference("base:latest")]);
    assert_eq!(image.config, serde_json::json!({ "cmd": ["sh"] }));
    let by_digest = format!("base@{}", image.digest);
    let both = format!("base:latest@{}", image.digest);
    for key in [
        "base",
        &by_digest,
        &both,
        image.id.hex(),
        image.id.as_str(),
        image.digest.short(),
        &image.id.hex()[..6],
    ] {
        assert_eq!(store.find_image(key).unwrap().digest, image.digest, "{key}");
    }
    let wrong = format!("base:latest@sha256:{}", "0".repeat(64));
    for missing in ["base:2", "other", &wrong, "0000000"] {
        let error = store.find_image(missing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{missing}: {error:?}");
    }
    let error = store.image(&reference("other")).unwrap_err();
    assert_eq!(error.to_string(), "no such image: other:latest");
    assert_eq!(error.remedy(), Some("sampan images lists the images"));
}

#[test]
fn a_name_belongs_to_one_image() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let newer = add_image(store, "newer", Some("base:latest"));
    assert_eq!(store.image(&reference("base")).unwrap().digest, newer.digest);
    assert!(store.image_by_digest(&fixture.image).unwrap().references.is_empty());
    store.tag(&reference("base:old"), &fixture.image).unwrap();
    store.untag(&reference("base")).unwrap();
    assert_eq!(store.untag(&reference("base")).unwrap_err().to_string(), "no such image: base:latest");
    let names: Vec<_> = store.images().unwrap().into_iter().map(|image| image.references).collect();
    assert_eq!(names, [vec![], vec![reference("base:old")]]);
    let digest = reference(&format!("base@{}", newer.digest));
    assert_eq!(store.tag(&digest, &newer.digest).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(store.delete_image(&newer.digest).unwrap().digest, newer.digest);
    assert_eq!(store.tag(&reference("x"), &newer.digest).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_image_in_use_cannot_be_deleted_nor_a_deleted_one_used() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let web = store.create_container(fixture.container("web")).unwrap();
    assert_eq!(store.containers_of(&fixture.image).unwrap(), [(web.id.clone(), web.name.clone())]);
    let error = store.delete_image(&fixture.image).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.causes(), [format!("container web ({}) was made from it", web.id.short())]);
    store.delete_container(&web.id).unwrap();
    store.delete_image(&fixture.image).unwrap();
    let error = store.create_container(fixture.container("web")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.causes(), [format!("its image {} has been removed", fixture.image)]);
}

#[test]
fn unpacked_is_remembered() {
    let fixture = Fixture::new();
    fixture.store.set_unpacked(&fixture.image, Some("key")).unwrap();
    assert_eq!(fixture.store.image_by_digest(&fixture.image).unwrap().unpacked.as_deref(), Some("key"));
    fixture.store.set_unpacked(&fixture.image, None).unwrap();
    assert_eq!(fixture.store.image_by_digest(&fixture.image).unwrap().unpacked, None);
}
