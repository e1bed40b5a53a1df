//! Options of a new file system and of a bound folder.

use super::refused;
use crate::support::{Case, HostMounts, Mount, mount_at, word};
use rustix::mount::MountFlags;

/// What the container sees on `/mnt`, where a tmpfs with options is mounted.
#[track_caller]
fn tmpfs(options: &[&str]) -> Mount {
    let mut case = Case::new();
    case.mount("/mnt", "tmpfs", "tmpfs", options);
    mount_at(&case.table(), "/mnt")
}

/// What the container sees on `/mnt`, where a folder is bound whose file system has no flags of its own.
#[track_caller]
fn bind(options: &[&str]) -> Mount {
    let mut case = Case::new();
    let source = case.folder("source");
    case.mount("/mnt", "bind", word(&source), &[&["bind"], options].concat());
    mount_at(&case.table(), "/mnt")
}

macro_rules! options {
    ($($name:ident: $on:ident $options:expr => $expected:expr;)*) => {
        $(#[test]
        fn $name() {
            $on(&$options).options(&$expected);
        })*
    };
}

options! {
    tmpfs_without_options: tmpfs [] => ["rw", "!nosuid", "!nodev", "!noexec"];
    tmpfs_defaults: tmpfs ["defaults"] => ["rw", "!nosuid", "!nodev", "!noexec"];
    tmpfs_ro: tmpfs ["ro"] => ["ro"];
    tmpfs_rw: tmpfs ["rw"] => ["rw"];
    tmpfs_nosuid: tmpfs ["nosuid"] => ["nosuid", "!nodev", "!noexec"];
    tmpfs_nodev: tmpfs ["nodev"] => ["nodev", "!nosuid"];
    tmpfs_noexec: tmpfs ["noexec"] => ["noexec", "!nosuid"];
    tmpfs_noatime: tmpfs ["noatime"] => ["noatime", "!relatime"];
    tmpfs_relatime: tmpfs ["relatime"] => ["relatime", "!noatime"];
    tmpfs_strictatime: tmpfs ["strictatime"] => ["!relatime", "!noatime"];
    tmpfs_nodiratime: tmpfs ["nodiratime"] => ["nodiratime"];
    tmpfs_nosymfollow: tmpfs ["nosymfollow"] => ["nosymfollow"];
    tmpfs_many: tmpfs ["nosuid", "nodev", "noexec", "ro", "noatime"] => ["nosuid", "nodev", "noexec", "ro", "noatime"];
    tmpfs_the_last_of_ro_and_rw_holds: tmpfs ["ro", "rw"] => ["rw"];
    tmpfs_the_last_of_rw_and_ro_holds: tmpfs ["rw", "ro"] => ["ro"];
    tmpfs_suid_takes_nosuid_back: tmpfs ["nosuid", "suid"] => ["!nosuid"];
    tmpfs_dev_takes_nodev_back: tmpfs ["nodev", "dev"] => ["!nodev"];
    tmpfs_exec_takes_noexec_back: tmpfs ["noexec", "exec"] => ["!noexec"];
    tmpfs_atime_takes_noatime_back: tmpfs ["noatime", "atime"] => ["!noatime"];
    tmpfs_diratime_takes_nodiratime_back: tmpfs ["nodiratime", "diratime"] => ["!nodiratime"];
    tmpfs_symfollow_takes_nosymfollow_back: tmpfs ["nosymfollow", "symfollow"] => ["!nosymfollow"];
    bind_without_options: bind [] => ["rw", "!nosuid", "!nodev", "!noexec"];
    bind_ro: bind ["ro"] => ["ro", "!nosuid"];
    bind_rw: bind ["rw"] => ["rw"];
    bind_nosuid: bind ["nosuid"] => ["nosuid", "rw"];
    bind_nodev: bind ["nodev"] => ["nodev", "rw"];
    bind_noexec: bind ["noexec"] => ["noexec", "rw"];
    bind_noatime: bind ["noatime"] => ["noatime"];
    bind_nodiratime: bind ["nodiratime"] => ["nodiratime"];
    bind_strictatime: bind ["strictatime"] => ["!relatime", "!noatime"];
    bind_nosymfollow: bind ["nosymfollow"] => ["nosymfollow"];
    bind_many: bind ["ro", "nosuid", "nodev", "noexec"] => ["ro", "nosuid", "nodev", "noexec"];
    bind_the_last_of_ro_and_rw_holds: bind ["ro", "rw"] => ["rw"];
    bind_suid_takes_nosuid_back: bind ["nosuid", "suid"] => ["!nosuid"];
    bind_exec_takes_noexec_back: bind ["noexec", "exec"] => ["!noexec"];
}

/// What the whole file system has.
macro_rules! of_the_file_system {
    ($($name:ident: $options:expr => $word:literal;)*) => {
        $(#[test]
        fn $name() {
            let mount = tmpfs(&$options);
            assert!(mount.is_given($word), "{mount:?}");
        })*
    };
}

of_the_file_system! {
    tmpfs_sync: ["sync"] => "sync";
    tmpfs_dirsync: ["dirsync"] => "dirsync";
    tmpfs_lazytime: ["lazytime"] => "lazytime";
    tmpfs_size: ["size=64k"] => "size=64k";
    tmpfs_size_beside_a_flag: ["nosuid", "size=64k"] => "size=64k";
    tmpfs_mode: ["mode=0700"] => "mode=700";
    tmpfs_number_of_inodes: ["nr_inodes=77"] => "nr_inodes=77";
    tmpfs_owner: ["uid=77"] => "uid=77";
    tmpfs_group: ["gid=78"] => "gid=78";
}

#[test]
fn async_takes_sync_back() {
    let mount = tmpfs(&["sync", "async"]);
    assert!(!mount.is_given("sync"), "{mount:?}");
}

#[test]
fn what_says_nothing_is_taken() {
    tmpfs(&["loud", "silent", "async", "norelatime", "nostrictatime", "nomand"]).options(&["rw"]);
}

#[test]
fn an_unknown_option_is_refused() {
    let mut case = Case::new();
    case.mount("/mnt", "tmpfs", "tmpfs", &["no-such-option"]);
    refused(&case);
}

#[test]
fn a_size_that_is_no_number_is_refused() {
    let mut case = Case::new();
    case.mount("/mnt", "tmpfs", "tmpfs", &["size=much"]);
    refused(&case);
}

#[test]
fn an_unknown_kind_is_refused_and_the_target_named() {
    let mut case = Case::new();
    case.mount("/mnt", "no-such-fs", "none", &[]);
    let said = refused(&case);
    assert!(said.err.contains("/mnt"), "{said}");
}

#[test]
fn the_source_of_a_new_file_system_is_its_name() {
    let mut case = Case::new();
    case.mount("/mnt", "tmpfs", "some-name", &[]);
    assert_eq!(mount_at(&case.table(), "/mnt").source, "some-name");
}

/// What the container sees on `/mnt`, where a folder is bound that is a mount of its own with flags.
#[track_caller]
fn flagged(flags: MountFlags, options: &[&str]) -> Mount {
    let mut case = Case::new();
    let mut host = HostMounts::default();
    let source = case.folder("source");
    host.tmpfs(&source, flags);
    case.mount("/mnt", "bind", word(&source), &[&["bind"], options].concat());
    let table = case.table();
    drop(host);
    mount_at(&table, "/mnt")
}

const ALL: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

macro_rules! flags_of_the_source {
    ($($name:ident: $flags:expr, $options:expr => $expected:expr;)*) => {
        $(#[test]
        fn $name() {
            flagged($flags, &$options).options(&$expected);
        })*
    };
}

flags_of_the_source! {
    a_bind_keeps_the_flags_of_its_source: ALL, [] => ["nosuid", "nodev", "noexec"];
    a_bind_keeps_that_its_source_is_read_only: MountFlags::RDONLY, [] => ["ro"];
    a_bind_keeps_noatime_of_its_source: MountFlags::NOATIME, [] => ["noatime"];
    suid_takes_it_from_the_source: ALL, ["suid"] => ["!nosuid"];
    dev_takes_it_from_the_source: ALL, ["dev"] => ["!nodev"];
    exec_takes_it_from_the_source: ALL, ["exec"] => ["!noexec"];
    rw_takes_ro_from_the_mount: MountFlags::empty(), ["ro", "rw"] => ["rw"];
    relatime_takes_noatime_from_the_source: MountFlags::NOATIME, ["relatime"] => ["relatime", "!noatime"];
    a_flag_is_added_to_those_asked_for: MountFlags::NOATIME, ["nosuid", "noatime"] => ["nosuid", "noatime"];
}
