use super::*;
use sampan_sys::mount::Attr;

fn mount(fs_type: &str, options: &[&str]) -> Mount {
    Mount {
        destination: "/x".into(),
        fs_type: Some(fs_type.into()),
        options: options.iter().map(|&option| option.into()).collect(),
        ..Mount::default()
    }
}

fn refusal(mount: &Mount) -> String {
    let error = Options::parse(mount).unwrap_err();
    assert_eq!(error.to_string(), "invalid mount on /x");
    error.causes().concat()
}

#[test]
fn words_become_bits() {
    let mount = mount(
        "none",
        &["rbind", "bind", "ro", "nosuid", "suid", "rnoexec", "rro", "rslave", "ridmap", "sync"],
    );
    let options = Options::parse(&mount).unwrap();
    assert_eq!(options.bind, Some(Bind::All));
    assert_eq!(options.attributes.set, Attr::RDONLY);
    assert_eq!(options.attributes.cleared, Attr::NOSUID);
    assert_eq!(options.attributes.set_all, Attr::NOEXEC | Attr::RDONLY);
    assert_eq!(options.propagation, [(Propagation::Slave, true)]);
    assert!(options.idmap.is_some_and(|idmap| idmap.recursive));
    assert_eq!((options.superblock, options.filesystem), (vec!["sync"], vec![]));
}

#[test]
fn a_bind_mount_has_no_filesystem_options() {
    assert_eq!(
        refusal(&mount("bind", &["ro", "mode=755"])),
        "bind mounts cannot have any filesystem-specific options applied: \"mode=755\""
    );
}

#[test]
fn a_mount_has_a_type_or_is_bound() {
    for kind in ["", "none"] {
        assert_eq!(refusal(&mount(kind, &["ro"])), "it has no filesystem type, and is no bind mount");
        assert!(Options::parse(&mount(kind, &["rbind"])).is_ok());
    }
}

#[test]
fn only_what_is_bound_has_its_ids_mapped() {
    assert_eq!(refusal(&mount("tmpfs", &["idmap"])), "id-mapped mounts are only supported for bind-mounts");
    let mut half = mount("bind", &[]);
    half.uid_mappings = vec![sampan_types::spec::IdMapping::default()];
    assert_eq!(refusal(&half), "it must have both uidMappings and gidMappings");
    half.gid_mappings.clone_from(&half.uid_mappings);
    assert!(Options::parse(&half).unwrap().idmap.is_some_and(|idmap| !idmap.recursive));
}

#[test]
fn words_of_crun() {
    let mount = mount("bind", &["copy-symlink", "src-nofollow", "dest-nofollow"]);
    let options = Options::parse(&mount).unwrap();
    assert!(options.copy_symlink && options.keep_source_link && options.keep_target_link);
}
