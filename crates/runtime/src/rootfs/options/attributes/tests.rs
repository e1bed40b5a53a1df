use super::*;

fn words(words: &[&str]) -> Attributes {
    let mut attributes = Attributes::default();
    for word in words {
        assert!(attributes.add(word), "{word}");
    }
    attributes
}

#[test]
fn other_words_are_left_to_others() {
    for word in ["bind", "size=1k", "r", "", "rrr", "relatimes", "ratimes"] {
        assert!(!Attributes::default().add(word), "{word}");
    }
}

#[test]
fn later_words_win() {
    let attributes = words(&["ro", "rw", "nosuid", "suid", "nosuid", "rro", "rrw", "rnosuid"]);
    assert_eq!((attributes.set, attributes.cleared), (Attr::NOSUID, Attr::RDONLY));
    assert_eq!((attributes.set_all, attributes.clear_all), (Attr::NOSUID, Attr::RDONLY));
    assert!(!attributes.read_only() && words(&["ro"]).read_only() && words(&["rro"]).read_only());
}

#[test]
fn access_times_of_new_filesystems_are_as_mount_2_has_them() {
    for (given, expected) in [
        (&[][..], Attr::RELATIME),
        (&["noatime"], Attr::NOATIME),
        (&["noatime", "atime"], Attr::RELATIME),
        (&["noatime", "nostrictatime"], Attr::NOATIME),
        (&["strictatime", "noatime"], Attr::STRICTATIME),
        (&["strictatime", "nostrictatime", "relatime"], Attr::RELATIME),
        (&["nodiratime"], Attr::NODIRATIME),
        (&["rnoatime"], Attr::NOATIME),
        (&["rnoatime", "relatime"], Attr::RELATIME),
    ] {
        assert_eq!(words(given).of_new(), expected, "{given:?}");
    }
}

#[test]
fn words_for_all_below_are_values_of_one_field() {
    let attributes = words(&["rnoatime", "rstrictatime"]);
    assert_eq!((attributes.set_all, attributes.clear_all), (Attr::STRICTATIME, Attr::ATIME));
    let attributes = words(&["rnoatime", "ratime"]);
    assert_eq!((attributes.set_all, attributes.clear_all), (Attr::default(), Attr::ATIME));
    let attributes = words(&["rnodiratime", "rrelatime"]);
    assert_eq!((attributes.set_all, attributes.clear_all), (Attr::NODIRATIME, Attr::ATIME));
    let attributes = words(&["rnodiratime", "rdiratime"]);
    assert_eq!((attributes.set_all, attributes.clear_all), (Attr::default(), Attr::NODIRATIME));
}

#[test]
fn a_bound_mount_takes_the_given_bits_instead_of_its_source_s() {
    let (set, clear) = words(&["ro", "dev"]).replacing();
    assert_eq!(set, Attr::RDONLY);
    assert_eq!(clear, Attr::NOSUID | Attr::NODEV | Attr::NOEXEC | Attr::NOSYMFOLLOW);
    // Clearing an access time policy is no policy: the source's stays.
    let (_, clear) = words(&["atime", "diratime"]).replacing();
    assert!(!clear.contains(Attr::NOATIME));
    let (set, clear) = words(&["strictatime"]).replacing();
    assert!(set == Attr::STRICTATIME && clear.contains(Attr::ATIME | Attr::NODIRATIME));
}

#[test]
fn locked_bits_stay_or_are_an_error() {
    let present = Attr::RDONLY | Attr::NOSUID | Attr::NOATIME | Attr::NOSYMFOLLOW;
    let (set, clear) = words(&["noexec"]).keeping(present).unwrap();
    assert_eq!((set, clear), (Attr::NOEXEC, Attr::NODEV | Attr::NOSYMFOLLOW));
    assert_eq!(words(&["rw", "suid"]).keeping(present).unwrap_err(), "cannot clear locked flags ro,nosuid");
    assert_eq!(words(&["atime"]).keeping(present).unwrap_err(), "cannot clear locked flags noatime");
    assert!(words(&["noatime"]).keeping(present).is_ok());
    assert_eq!(
        words(&["strictatime"]).keeping(present).unwrap_err(),
        "cannot change locked access time flags"
    );
}
