//! Mounts of a container whose root is another user: locked flags, sources that only the host's root may see.

use super::refused;
use crate::support::{Case, HostMounts, Mount, mount_at, mounts, word};
use rustix::mount::MountFlags;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

/// What a container with a user namespace sees on `/mnt`, where a mount of the host with flags is bound.
#[track_caller]
fn flagged(flags: MountFlags, options: &[&str]) -> Mount {
    let mut case = Case::new();
    case.user_namespace();
    let mut host = HostMounts::default();
    let source = case.folder("source");
    host.tmpfs(&source, flags);
    case.mount("/mnt", "bind", word(&source), &[&["bind"], options].concat());
    let table = case.table();
    drop(host);
    mount_at(&table, "/mnt")
}

const ALL: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

macro_rules! locked {
    ($($name:ident: $flags:expr, $options:expr => $expected:expr;)*) => {
        $(#[test]
        fn $name() {
            flagged($flags, &$options).options(&$expected);
        })*
    };
}

// What is not asked to be taken away stays, so that the kernel lets the rest through.
locked! {
    flags_of_the_source_stay: ALL, [] => ["nosuid", "nodev", "noexec"];
    flags_of_the_source_stay_beside_ro: ALL, ["ro"] => ["ro", "nosuid", "nodev", "noexec"];
    flags_of_the_source_stay_beside_nosuid: ALL, ["nosuid", "ro"] => ["ro", "nosuid", "nodev", "noexec"];
    a_read_only_source_stays_so_beside_nosuid: MountFlags::RDONLY, ["nosuid"] => ["ro", "nosuid"];
    noatime_of_the_source_stays_beside_ro: MountFlags::NOATIME, ["ro"] => ["ro", "noatime"];
    nodiratime_of_the_source_stays_beside_ro: MountFlags::NODIRATIME, ["ro"] => ["ro", "nodiratime"];
    flags_can_be_added: MountFlags::empty(), ["ro", "nosuid", "nodev", "noexec"] => ["ro", "nosuid", "nodev", "noexec"];
    recursive_flags_can_be_added: MountFlags::empty(), ["rro", "rnosuid"] => ["ro", "nosuid"];
}

#[test]
fn a_source_that_only_the_hosts_root_may_enter() {
    let mut case = Case::sh("cat /mnt/file /etc/hosts");
    case.user_namespace();
    let file = case.file("closed/source/file");
    std::fs::set_permissions(case.base().join("closed"), Permissions::from_mode(0o700)).unwrap();
    case.mount("/mnt", "bind", word(file.parent().unwrap()), &["rbind", "ro"]);
    case.mount("/etc/hosts", "bind", word(&file), &["bind"]);
    assert_eq!(case.run().ok(), "closed/source/fileclosed/source/file");
}

#[test]
fn a_bundle_that_only_the_hosts_root_may_read() {
    let mut case = Case::sh("echo alive");
    case.user_namespace();
    case.write();
    std::fs::set_permissions(case.bundle().join("config.json"), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(case.run().ok(), "alive");
}

#[test]
fn devices_are_the_hosts_bound() {
    let mut case = Case::sh("echo x > /dev/null && head -c 2 /dev/zero | wc -c && stat -c %t:%T /dev/random");
    case.user_namespace();
    assert_eq!(case.run().ok(), "2\n1:8");
}

#[test]
fn a_device_of_the_configuration_is_bound() {
    let mut case = Case::sh("stat -c '%F %t:%T' /dev/kmsg");
    case.user_namespace();
    case.set(
        "/linux/devices/-",
        serde_json::json!({ "path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11 }),
    );
    assert_eq!(case.run().ok(), "character special file 1:b");
}

#[test]
fn a_tmpfs_belongs_to_the_containers_root() {
    let mut case = Case::sh("stat -c %u:%g /mnt; touch /mnt/file; stat -c %u /mnt/file");
    case.user_namespace();
    case.mount("/mnt", "tmpfs", "tmpfs", &["nosuid", "nodev"]);
    assert_eq!(case.run().ok(), "0:0\n0");
}

#[test]
fn a_tmpfs_of_another_user_of_the_container() {
    let mut case = Case::sh("stat -c %u:%g /mnt");
    case.user_namespace();
    case.mount("/mnt", "tmpfs", "tmpfs", &["uid=1000", "gid=1001"]);
    assert_eq!(case.run().ok(), "1000:1001");
}

#[test]
fn a_copy_keeps_the_owners_of_the_container() {
    let mut case = Case::sh("stat -c %u:%g /covered/file; cat /covered/file");
    std::fs::create_dir(case.rootfs("covered")).unwrap();
    std::fs::write(case.rootfs("covered/file"), "text").unwrap();
    case.user_namespace();
    case.mount("/covered", "tmpfs", "tmpfs", &["tmpcopyup"]);
    assert_eq!(case.run().ok(), "0:0\ntext");
}

#[test]
fn sys_is_bound_when_the_network_namespace_is_the_hosts() {
    let mut case = Case::sh("ls /sys/kernel > /dev/null && echo alive");
    case.user_namespace().without_namespace("network");
    case.config["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/sys/fs"));
    assert_eq!(case.run().ok(), "alive");
}

#[test]
fn a_queue_of_messages_and_shared_memory_are_mounted() {
    let mut case = Case::new();
    case.user_namespace();
    let table = case.table();
    assert_eq!(mount_at(&table, "/dev/mqueue").kind, "mqueue");
    assert_eq!(mount_at(&table, "/dev/shm").kind, "tmpfs");
}

#[test]
fn masked_and_read_only_paths_hold() {
    let mut case = Case::sh("cat /proc/kcore | wc -c; echo 1 > /proc/sys/kernel/panic");
    case.user_namespace();
    let said = case.run().failed();
    assert_eq!(said.out, "0\n", "{said}");
}

#[test]
fn a_read_only_root_holds() {
    let mut case = Case::sh("touch /file");
    case.user_namespace();
    case.set("/root/readonly", true);
    case.run().failed().complains("Read-only file system");
}

#[test]
fn several_ranges_see_their_owners() {
    let mut case = Case::sh("stat -c %u /0 /1 /2");
    let ranges = serde_json::json!([
        { "containerID": 0, "hostID": 100_000, "size": 1 }, { "containerID": 1, "hostID": 200_000, "size": 1 },
        { "containerID": 2, "hostID": 300_000, "size": 100 }
    ]);
    case.user_namespace().set("/linux/uidMappings", ranges.clone()).set("/linux/gidMappings", ranges);
    for (name, owner) in [("0", 100_000), ("1", 200_000), ("2", 300_000)] {
        std::fs::write(case.rootfs(name), "").unwrap();
        std::os::unix::fs::chown(case.rootfs(name), Some(owner), Some(owner)).unwrap();
    }
    // A terminal's group must have a place in the map.
    assert_eq!(case.run().ok(), "0\n1\n2");
}

#[test]
fn many_bound_files_are_all_there() {
    let mut case = Case::sh("cat /many/* | wc -l");
    std::fs::create_dir(case.rootfs("many")).unwrap();
    case.user_namespace();
    for number in 0..60 {
        let file = case.file(&format!("many/{number}"));
        std::fs::write(&file, "line\n").unwrap();
        case.mount(&format!("/many/{number}"), "bind", word(&file), &["bind", "ro"]);
    }
    assert_eq!(case.run().ok(), "60");
}

#[test]
fn a_source_that_is_not_there_is_named() {
    let mut case = Case::new();
    case.user_namespace();
    case.mount("/mnt", "bind", "/no/such/source", &["rbind"]);
    let said = refused(&case);
    assert!(said.err.contains("/no/such/source"), "{said}");
}

#[test]
fn nothing_of_the_hosts_root_is_left_among_the_mounts() {
    let mut case = Case::new();
    case.user_namespace();
    let table = case.table();
    let foreign = mounts(&table)
        .into_iter()
        .find(|mount| mount.point.starts_with("/work") || mount.point.contains("bundle"));
    assert!(foreign.is_none(), "{foreign:?}");
}
