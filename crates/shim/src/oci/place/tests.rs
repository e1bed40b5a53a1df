use super::*;

#[test]
fn an_id_is_one_plain_component() {
    for id in ["a", "A_b+c-d.e", "..a", "9"] {
        assert!(check_id(id).is_ok(), "{id}");
    }
    for id in [".", "..", "a/b", "a b", "a:b", "ä", "a\n", "/", "a/../b"] {
        assert_eq!(check_id(id).unwrap_err().to_string(), "invalid container ID format", "{id}");
    }
    assert_eq!(check_id("").unwrap_err().to_string(), "container id cannot be empty");
}

#[test]
fn a_place_is_made_once_and_is_a_container_when_its_state_is_there() {
    let base = tempfile::tempdir().unwrap();
    let root = base.path().join("a/b");
    let place = Place::make(&root, "x").unwrap();
    assert_eq!(Place::make(&root, "x").unwrap_err().to_string(), "container with given ID already exists");
    assert_eq!(Place::open(&root, "x", Lock::None).unwrap_err().to_string(), "container does not exist");
    place.write(CONFIG, b"{}").unwrap();
    place.replace(STATE, b"1").unwrap();
    assert_eq!(Place::open(&root, "x", Lock::None).unwrap().read(STATE).unwrap(), b"1");
    place.remove().unwrap();
    assert!(!root.join("x").exists());
    assert_eq!(Place::open(&root, "x", Lock::None).unwrap_err().to_string(), "container does not exist");
}

#[test]
fn who_makes_it_is_alone() {
    let base = tempfile::tempdir().unwrap();
    let mut place = Place::make(base.path(), "x").unwrap();
    place.replace(STATE, b"").unwrap();
    let waiting = std::thread::spawn({
        let root = base.path().to_owned();
        move || Place::open(&root, "x", Lock::Shared).unwrap()
    });
    std::thread::sleep(Duration::from_millis(20));
    assert!(!waiting.is_finished());
    place.unlock();
    let shared = waiting.join().unwrap();
    // Shared locks do not exclude each other, and no lock is needed to look.
    Place::open(base.path(), "x", Lock::Shared).unwrap();
    assert!(flock(&place.directory, FlockOperation::NonBlockingLockExclusive).is_err());
    drop(shared);
    assert!(flock(&place.directory, FlockOperation::NonBlockingLockExclusive).is_ok());
}
