//! tmpfs: its mode, and what it takes over from the folder it covers (`tmpcopyup`).

use crate::support::Case;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

/// The mode of a tmpfs that covers a folder of this mode.
#[track_caller]
fn mode(folder: Option<u32>, options: &[&str]) -> String {
    let mut case = Case::sh("stat -c %a /covered");
    if let Some(mode) = folder {
        std::fs::create_dir(case.rootfs("covered")).unwrap();
        std::fs::set_permissions(case.rootfs("covered"), Permissions::from_mode(mode)).unwrap();
    }
    case.mount("/covered", "tmpfs", "tmpfs", options);
    case.run().ok()
}

macro_rules! modes {
    ($($name:ident: $folder:expr, $options:expr => $mode:literal;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(mode($folder, &$options), $mode);
        })*
    };
}

modes! {
    the_mode_is_the_covered_folders: Some(0o711), [] => "711";
    the_mode_of_a_closed_folder: Some(0o000), [] => "0";
    the_mode_of_a_folder_for_everyone: Some(0o1777), [] => "1777";
    the_mode_with_the_group_bit: Some(0o2755), [] => "2755";
    the_mode_with_the_user_bit: Some(0o4755), [] => "4755";
    the_mode_with_all_bits: Some(0o7777), [] => "7777";
    an_explicit_mode_wins: Some(0o711), ["mode=0750"] => "750";
    an_explicit_mode_with_the_sticky_bit: Some(0o711), ["mode=1770"] => "1770";
    the_mode_of_a_folder_that_is_not_there: None, [] => "1777";
    an_explicit_mode_of_a_folder_that_is_not_there: None, ["mode=700"] => "700";
    the_mode_with_a_copy: Some(0o750), ["tmpcopyup"] => "750";
    an_explicit_mode_with_a_copy: Some(0o750), ["tmpcopyup", "mode=711"] => "711";
    the_mode_with_other_options: Some(0o711), ["nosuid", "size=64k"] => "711";
    the_mode_of_a_read_only_one: Some(0o711), ["ro"] => "711";
}

/// A folder with something of each kind in it, covered by a copy.
fn copied(script: &str) -> Case {
    let mut case = Case::sh(script);
    let folder = case.rootfs("covered");
    std::fs::create_dir_all(folder.join("deep/deeper")).unwrap();
    std::fs::write(folder.join("file"), "text").unwrap();
    std::fs::write(folder.join("deep/deeper/file"), "deep text").unwrap();
    std::fs::write(folder.join("tool"), "").unwrap();
    std::fs::set_permissions(folder.join("tool"), Permissions::from_mode(0o4755)).unwrap();
    std::fs::set_permissions(folder.join("deep"), Permissions::from_mode(0o2750)).unwrap();
    chown(folder.join("file"), Some(7), Some(8)).unwrap();
    symlink("file", folder.join("link")).unwrap();
    symlink("/no/such", folder.join("dangling")).unwrap();
    case.mount("/covered", "tmpfs", "tmpfs", &["tmpcopyup"]);
    case
}

macro_rules! copies {
    ($($name:ident: $script:literal => $expected:expr;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(copied($script).run().ok(), $expected);
        })*
    };
}

copies! {
    a_copy_has_the_files: "cat /covered/file" => "text";
    a_copy_has_folders_in_folders: "cat /covered/deep/deeper/file" => "deep text";
    a_copy_has_the_links: "readlink /covered/link; readlink /covered/dangling" => "file\n/no/such";
    a_copy_has_the_modes: "stat -c %a /covered/tool /covered/deep" => "4755\n2750";
    a_copy_has_the_owners: "stat -c %u:%g /covered/file" => "7:8";
    a_copy_is_a_tmpfs: "grep -c ' /covered tmpfs' /proc/mounts" => "1";
    a_copy_can_be_written: "echo new > /covered/deep/deeper/file && cat /covered/deep/deeper/file" => "new";
}

#[test]
fn a_copy_leaves_the_original_alone() {
    let case = copied("echo new > /covered/new; rm /covered/file; rm -r /covered/deep");
    case.run().code(0);
    assert_eq!(std::fs::read_to_string(case.rootfs("covered/file")).unwrap(), "text");
    assert!(case.rootfs("covered/deep/deeper/file").exists() && !case.rootfs("covered/new").exists());
}

#[test]
fn a_read_only_copy_has_the_files() {
    let mut case = copied("cat /covered/file; touch /covered/x");
    let last = case.config["mounts"].as_array().unwrap().len() - 1;
    case.set(&format!("/mounts/{last}/options"), ["tmpcopyup", "ro"]);
    let said = case.run().failed().complains("Read-only file system");
    assert_eq!(said.out, "text");
}

#[test]
fn a_copy_of_a_folder_that_is_not_there_is_empty() {
    let mut case = Case::sh("ls -A /new");
    case.mount("/new", "tmpfs", "tmpfs", &["tmpcopyup"]);
    assert_eq!(case.run().ok(), "");
}

#[test]
fn a_copy_works_with_a_read_only_root() {
    let mut case = copied("cat /covered/file && touch /covered/x && ! touch /x");
    case.set("/root/readonly", true);
    assert_eq!(case.run().ok(), "text");
}

#[test]
fn the_size_holds() {
    let mut case = Case::sh("dd if=/dev/zero of=/mnt/file bs=1k count=128");
    case.mount("/mnt", "tmpfs", "tmpfs", &["size=64k"]);
    case.run().failed().complains("No space left on device");
}

#[test]
fn the_owner_can_be_given() {
    let mut case = Case::sh("stat -c %u:%g /mnt");
    case.mount("/mnt", "tmpfs", "tmpfs", &["uid=1000", "gid=1001", "mode=700"]);
    assert_eq!(case.run().ok(), "1000:1001");
}
