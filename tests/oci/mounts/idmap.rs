//! Bound folders whose ids are mapped: `idmap`, `ridmap`, and maps of a mount's own.

use super::refused;
use crate::support::{Case, HostMounts, Value, json, word};
use rustix::mount::MountFlags;
use std::os::unix::fs::chown;

/// A list of maps: id of the file system, id of the host, count.
fn map(ranges: &[(u32, u32, u32)]) -> Value {
    ranges
        .iter()
        .map(|(inside, host, size)| json!({ "containerID": inside, "hostID": host, "size": size }))
        .collect()
}

/// A case that shows the owner of each of some files of a bound folder: files `0`, `1`, `1000` … are owned by the ids that are their names.
fn owners(ids: &[u32], options: &[&str], ranges: Option<&[(u32, u32, u32)]>) -> Case {
    let mut case = Case::sh("cd /mnt; for file in *; do echo $file:$(stat -c %u:%g $file); done");
    let source = case.folder("source");
    files(&source, ids);
    case.mount("/mnt", "bind", word(&source), options);
    maps(&mut case, ranges);
    case
}

/// Makes files that are owned by the ids that are their names.
fn files(folder: &std::path::Path, ids: &[u32]) {
    for id in ids {
        let path = folder.join(id.to_string());
        std::fs::write(&path, "").unwrap();
        chown(path, Some(*id), Some(*id)).unwrap();
    }
}

/// Gives the last mount maps of its own.
fn maps(case: &mut Case, ranges: Option<&[(u32, u32, u32)]>) {
    let last = case.config["mounts"].as_array().unwrap().len() - 1;
    if let Some(ranges) = ranges {
        case.set(&format!("/mounts/{last}/uidMappings"), map(ranges));
        case.set(&format!("/mounts/{last}/gidMappings"), map(ranges));
    }
}

macro_rules! without_a_user_namespace {
    ($($name:ident: $options:expr, $ranges:expr, $ids:expr => $seen:literal;)*) => {
        $(#[test]
        fn $name() {
            let case = owners(&$ids, &$options, Some(&$ranges));
            assert_eq!(case.run().ok().replace('\n', " "), $seen);
        })*
    };
}

without_a_user_namespace! {
    a_map_of_the_mount: ["bind", "idmap"], [(0, 1000, 10)], [0, 1] => "0:1000:1000 1:1001:1001";
    a_map_of_the_mount_needs_no_option: ["bind"], [(0, 1000, 10)], [0] => "0:1000:1000";
    a_map_of_a_recursive_bind: ["rbind", "idmap"], [(0, 1000, 10)], [0] => "0:1000:1000";
    a_recursive_map: ["rbind", "ridmap"], [(0, 1000, 10)], [0] => "0:1000:1000";
    a_map_with_a_read_only_mount: ["bind", "idmap", "ro"], [(0, 1000, 10)], [0] => "0:1000:1000";
    a_map_with_a_recursive_option: ["rbind", "idmap", "rro"], [(0, 1000, 10)], [0] => "0:1000:1000";
    a_map_with_several_ranges: ["bind", "idmap"], [(0, 1000, 1), (1, 2000, 1), (1000, 5, 10)], [0, 1, 1000] => "0:1000:1000 1:2000:2000 1000:5:5";
    a_map_that_swaps_ids: ["bind", "idmap"], [(0, 1, 1), (1, 0, 1)], [0, 1] => "0:1:1 1:0:0";
    ids_without_a_map_are_nobodys: ["bind", "idmap"], [(0, 1000, 1)], [0, 5] => "0:1000:1000 5:65534:65534";
    a_map_that_is_the_identity: ["bind", "idmap"], [(0, 0, 4_000_000)], [0, 7] => "0:0:0 7:7:7";
    the_last_of_idmap_and_ridmap_holds: ["rbind", "idmap", "ridmap"], [(0, 1000, 10)], [0] => "0:1000:1000";
}

macro_rules! in_a_user_namespace {
    ($($name:ident: $options:expr, $ranges:expr, $ids:expr => $seen:literal;)*) => {
        $(#[test]
        fn $name() {
            let mut case = owners(&$ids, &$options, $ranges);
            case.user_namespace();
            assert_eq!(case.run().ok().replace('\n', " "), $seen);
        })*
    };
}

in_a_user_namespace! {
    the_containers_map: ["bind", "idmap"], None, [0, 1, 1000] => "0:0:0 1:1:1 1000:1000:1000";
    the_containers_map_for_all_below: ["rbind", "ridmap"], None, [0, 1] => "0:0:0 1:1:1";
    the_containers_map_in_full: ["bind", "idmap"], Some(&[(0, 100_000, 65_536)]), [0, 7] => "0:0:0 7:7:7";
    a_part_of_the_containers_map: ["bind", "idmap"], Some(&[(0, 100_000, 5)]), [0, 7] => "0:0:0 7:65534:65534";
    another_map_than_the_containers: ["bind", "idmap"], Some(&[(0, 101_000, 10)]), [0, 7] => "0:1000:1000 7:1007:1007";
    several_ranges_in_a_user_namespace: ["bind", "idmap"], Some(&[(0, 100_001, 1), (7, 100_100, 2)]), [0, 7, 8] => "0:1:1 7:100:100 8:101:101";
    a_map_to_ids_that_are_not_the_containers: ["bind", "idmap"], Some(&[(0, 5, 10)]), [0] => "0:65534:65534";
    no_map_at_all: ["bind"], None, [0, 100_000, 100_007] => "0:65534:65534 100000:0:0 100007:7:7";
}

#[test]
fn a_file_that_is_made_has_the_mapped_owner_on_disk() {
    let mut case = owners(&[], &["bind", "idmap"], None);
    chown(case.base().join("source"), Some(0), Some(0)).unwrap();
    case.user_namespace();
    case.set("/process/args", ["touch", "/mnt/made"]);
    case.run().code(0);
    let made = std::fs::metadata(case.base().join("source/made")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), 0);
}

#[test]
fn an_owner_without_a_map_cannot_make_files() {
    // EOVERFLOW: the file system has no id for it.
    let mut case = owners(&[], &["bind", "idmap"], Some(&[(0, 1000, 10)]));
    case.set("/process/args", ["touch", "/mnt/made"]);
    case.run().failed();
    assert!(!case.base().join("source/made").exists());
}

/// Shows the owners in a folder, and in the tmpfs that is mounted in it.
#[track_caller]
fn two_levels(options: &[&str], user_namespace: bool) -> String {
    let mut case = Case::sh("stat -c %u:%g /mnt/0 /mnt/below/0 | tr '\n' ' '");
    let mut host = HostMounts::default();
    let source = case.folder("source");
    host.tmpfs(&source.join("below"), MountFlags::empty());
    files(&source, &[0]);
    files(&source.join("below"), &[0]);
    case.mount("/mnt", "bind", word(&source), options);
    if user_namespace {
        case.user_namespace();
    } else {
        maps(&mut case, Some(&[(0, 1000, 10)]));
    }
    let said = case.run();
    drop(host);
    said.ok()
}

#[test]
fn idmap_is_for_the_top_alone() {
    assert_eq!(two_levels(&["rbind", "idmap"], false), "1000:1000 0:0");
}

#[test]
fn ridmap_is_for_the_mounts_below_too() {
    assert_eq!(two_levels(&["rbind", "ridmap"], false), "1000:1000 1000:1000");
}

#[test]
fn ridmap_with_the_containers_map_is_for_the_mounts_below_too() {
    assert_eq!(two_levels(&["rbind", "ridmap"], true), "0:0 0:0");
}

#[test]
fn idmap_with_the_containers_map_is_for_the_top_alone() {
    assert_eq!(two_levels(&["rbind", "idmap"], true), "0:0 65534:65534");
}

#[test]
fn idmap_of_a_file() {
    let mut case = Case::sh("stat -c %u /etc/hosts");
    let file = case.file("hosts");
    case.mount("/etc/hosts", "bind", word(&file), &["bind", "idmap"]);
    maps(&mut case, Some(&[(0, 1000, 10)]));
    assert_eq!(case.run().ok(), "1000");
}

#[test]
fn idmap_with_a_relative_source() {
    let mut case = Case::sh("stat -c %u /mnt/file");
    case.file("bundle/source/file");
    case.mount("/mnt", "bind", "source", &["bind", "idmap"]);
    maps(&mut case, Some(&[(0, 1000, 10)]));
    assert_eq!(case.run().ok(), "1000");
}

#[test]
fn two_mounts_with_different_maps() {
    let mut case = Case::sh("stat -c %u /mnt/0 /tmp/0");
    let source = case.folder("source");
    files(&source, &[0]);
    case.mount("/mnt", "bind", word(&source), &["bind", "idmap"]);
    maps(&mut case, Some(&[(0, 1000, 10)]));
    case.mount("/tmp", "bind", word(&source), &["bind", "idmap"]);
    maps(&mut case, Some(&[(0, 2000, 10)]));
    assert_eq!(case.run().ok(), "1000\n2000");
}

#[test]
fn the_source_on_the_host_keeps_its_owners() {
    let case = owners(&[0], &["bind", "idmap"], Some(&[(0, 1000, 10)]));
    case.run().code(0);
    let file = std::fs::metadata(case.base().join("source/0")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&file), 0);
}

#[test]
fn the_map_of_a_joined_user_namespace() {
    let mut holder = Case::idle();
    holder.user_namespace();
    holder.detached();
    let path = std::path::PathBuf::from(format!("/proc/{}/ns/user", holder.pid()));
    let mut case = owners(&[0, 7], &["bind", "idmap"], None);
    case.user_namespace();
    case.namespace("user", Some(&path)).unset("/linux/uidMappings").unset("/linux/gidMappings");
    assert_eq!(case.run().ok(), "0:0:0\n7:7:7");
}

#[test]
fn the_descriptors_of_maps_are_closed() {
    let mut case = owners(&[], &["bind", "idmap"], None);
    case.user_namespace();
    case.set("/process/args", ["sleep", "1000"]);
    case.create().code(0);
    for entry in std::fs::read_dir(format!("/proc/{}/fd", case.pid())).unwrap().flatten() {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        let target = target.to_string_lossy();
        assert!(!target.starts_with("user:") && !target.ends_with("/source"), "{target}");
    }
}

#[test]
fn a_mount_that_is_no_bind_cannot_have_maps() {
    let mut case = Case::new();
    case.mount("/mnt", "tmpfs", "tmpfs", &["idmap"]);
    maps(&mut case, Some(&[(0, 1000, 10)]));
    refused(&case);
}

#[test]
fn idmap_without_any_map_is_refused() {
    refused(&owners(&[], &["bind", "idmap"], None));
}

#[test]
fn a_map_of_users_alone_is_refused() {
    let mut case = owners(&[], &["bind", "idmap"], Some(&[(0, 1000, 10)]));
    let last = case.config["mounts"].as_array().unwrap().len() - 1;
    case.unset(&format!("/mounts/{last}/gidMappings"));
    refused(&case);
}

#[test]
fn ranges_that_overlap_are_refused() {
    refused(&owners(&[], &["bind", "idmap"], Some(&[(0, 1000, 10), (5, 3000, 10)])));
}

#[test]
fn a_range_without_ids_is_refused() {
    refused(&owners(&[], &["bind", "idmap"], Some(&[(0, 1000, 0)])));
}

#[test]
fn a_file_system_without_maps_is_refused_and_named() {
    let mut case = Case::new();
    // Files of the kernel know no maps.
    case.mount("/mnt", "bind", "/proc/sys/kernel", &["bind", "idmap"]);
    maps(&mut case, Some(&[(0, 1000, 10)]));
    let said = refused(&case);
    assert!(said.err.contains("/proc/sys/kernel") || said.err.contains("/mnt"), "{said}");
}
