//! Options that hold for the mounts below as well (mount_setattr(2)), and those that do not.

use crate::support::{Case, HostMounts, Mount, mount_at, word};
use rustix::mount::MountFlags;

/// A folder with a tmpfs in it is bound with options: what the container sees of the folder, and of the tmpfs below.
#[track_caller]
fn bound(flags: MountFlags, options: &[&str]) -> (Mount, Mount) {
    let mut case = Case::new();
    let mut host = HostMounts::default();
    let source = case.folder("source");
    host.tmpfs(&source, NONE).tmpfs(&source.join("below"), flags).flagged(&source, flags);
    case.mount("/mnt", "bind", word(&source), options);
    let table = case.table();
    drop(host);
    (mount_at(&table, "/mnt"), mount_at(&table, "/mnt/below"))
}

macro_rules! both {
    ($($name:ident: $flags:expr, $options:expr => $expected:expr;)*) => {
        $(#[test]
        fn $name() {
            let (top, below) = bound($flags, &$options);
            top.options(&$expected);
            below.options(&$expected);
        })*
    };
}

const NONE: MountFlags = MountFlags::empty();

both! {
    rbind_brings_mounts_below: NONE, ["rbind"] => ["rw"];
    rro: NONE, ["rbind", "rro"] => ["ro"];
    rrw: MountFlags::RDONLY, ["rbind", "rrw"] => ["rw"];
    rnosuid: NONE, ["rbind", "rnosuid"] => ["nosuid"];
    rsuid: MountFlags::NOSUID, ["rbind", "rsuid"] => ["!nosuid"];
    rnodev: NONE, ["rbind", "rnodev"] => ["nodev"];
    rdev: MountFlags::NODEV, ["rbind", "rdev"] => ["!nodev"];
    rnoexec: NONE, ["rbind", "rnoexec"] => ["noexec"];
    rexec: MountFlags::NOEXEC, ["rbind", "rexec"] => ["!noexec"];
    rnoatime: NONE, ["rbind", "rnoatime"] => ["noatime"];
    ratime: MountFlags::NOATIME, ["rbind", "ratime"] => ["!noatime"];
    rrelatime: MountFlags::NOATIME, ["rbind", "rrelatime"] => ["relatime", "!noatime"];
    rstrictatime: MountFlags::NOATIME, ["rbind", "rstrictatime"] => ["!relatime", "!noatime"];
    rnostrictatime: MountFlags::STRICTATIME, ["rbind", "rnostrictatime"] => ["relatime"];
    rnorelatime: MountFlags::NOATIME, ["rbind", "rnorelatime"] => ["!noatime"];
    rnodiratime: NONE, ["rbind", "rnodiratime"] => ["nodiratime"];
    rdiratime: MountFlags::NODIRATIME, ["rbind", "rdiratime"] => ["!nodiratime"];
    rnosymfollow: NONE, ["rbind", "rnosymfollow"] => ["nosymfollow"];
    several_recursive_ones: NONE, ["rbind", "rro", "rnosuid", "rnodev", "rnoexec"] => ["ro", "nosuid", "nodev", "noexec"];
    rbind_that_is_followed_by_bind: NONE, ["rbind", "bind", "rnosuid"] => ["nosuid"];
}

/// Options that are for the top alone.
macro_rules! top_alone {
    ($($name:ident: $option:literal;)*) => {
        $(#[test]
        fn $name() {
            let (top, below) = bound(NONE, &["rbind", $option]);
            top.options(&[$option]);
            below.options(&[concat!("!", $option)]);
        })*
    };
}

top_alone! {
    ro_of_rbind_is_for_the_top: "ro";
    nosuid_of_rbind_is_for_the_top: "nosuid";
    nodev_of_rbind_is_for_the_top: "nodev";
    noexec_of_rbind_is_for_the_top: "noexec";
}

#[test]
fn a_plain_option_and_a_recursive_one_both_hold() {
    let (top, below) = bound(NONE, &["rbind", "ro", "rnosuid"]);
    top.options(&["ro", "nosuid"]);
    below.options(&["!ro", "nosuid"]);
}

#[test]
fn recursive_options_need_no_recursive_bind() {
    let mut case = Case::new();
    let source = case.folder("source");
    case.mount("/mnt", "bind", word(&source), &["bind", "rro", "rnoexec"]);
    mount_at(&case.table(), "/mnt").options(&["ro", "noexec"]);
}

#[test]
fn a_recursive_option_of_a_new_file_system_holds_for_it() {
    let mut case = Case::new();
    case.mount("/mnt", "tmpfs", "tmpfs", &["rnosuid", "rro"]);
    mount_at(&case.table(), "/mnt").options(&["nosuid", "ro"]);
}

#[test]
fn bind_brings_no_mount_below() {
    let mut case = Case::new();
    let mut host = HostMounts::default();
    let source = case.folder("source");
    host.tmpfs(&source.join("below"), NONE);
    std::fs::write(source.join("below/file"), "").unwrap();
    case.mount("/mnt", "bind", word(&source), &["bind"]);
    case.set("/process/args", ["ls", "/mnt/below"]);
    let said = case.run().ok();
    drop(host);
    assert_eq!(said, "");
}

#[test]
fn rro_keeps_every_writer_out() {
    let mut case = Case::sh("touch /mnt/x /mnt/below/x; ls /mnt /mnt/below");
    let mut host = HostMounts::default();
    let source = case.folder("source");
    host.tmpfs(&source.join("below"), NONE);
    case.mount("/mnt", "bind", word(&source), &["rbind", "rro"]);
    let said = case.run();
    drop(host);
    assert!(!said.out.contains('x'), "{said}");
    assert_eq!(said.err.matches("Read-only file system").count(), 2, "{said}");
}

#[test]
fn the_source_on_the_host_keeps_its_flags() {
    let mut case = Case::new();
    let mut host = HostMounts::default();
    let source = case.folder("source");
    host.tmpfs(&source.join("below"), NONE);
    case.mount("/mnt", "bind", word(&source), &["rbind", "rro"]);
    case.run().code(0);
    let writable = std::fs::write(source.join("below/file"), "").is_ok();
    drop(host);
    assert!(writable);
}
