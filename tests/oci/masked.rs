//! Paths that are hidden, and paths that are read-only.

mod readonly;

use crate::support::{Case, json, mount_at, mounts, word};

/// A case that hides these paths alone.
fn masking(paths: &[&str], script: &str) -> Case {
    let mut case = Case::sh(script);
    case.set("/linux/maskedPaths", json!(paths));
    std::fs::write(case.rootfs("file"), "secret").unwrap();
    std::fs::create_dir(case.rootfs("folder")).unwrap();
    std::fs::write(case.rootfs("folder/inner"), "secret").unwrap();
    std::os::unix::fs::symlink("file", case.rootfs("link")).unwrap();
    std::os::unix::fs::symlink("/folder", case.rootfs("folder-link")).unwrap();
    case
}

macro_rules! masks {
    ($($name:ident: $paths:expr, $script:literal => $expected:literal;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(masking(&$paths, $script).run().ok(), $expected);
        })*
    };
}

masks! {
    a_file_is_empty: ["/file"], "cat /file | wc -c" => "0";
    a_file_is_the_null_device: ["/file"], "stat -c %t:%T /file" => "1:3";
    a_file_in_a_folder: ["/folder/inner"], "cat /folder/inner | wc -c; ls /folder" => "0\ninner";
    a_folder_is_empty: ["/folder"], "ls -A /folder | wc -l" => "0";
    a_folder_takes_no_file: ["/folder"], "touch /folder/x 2> /dev/null || echo closed" => "closed";
    a_folder_is_a_tmpfs: ["/folder"], "stat -f -c %T /folder" => "tmpfs";
    what_is_not_there_is_passed_over: ["/no/such/path"], "ls /no 2> /dev/null; cat /file" => "secret";
    a_path_that_stands_twice: ["/folder", "/folder", "/file", "/file"], "ls -A /folder | wc -l; cat /file | wc -c" => "0\n0";
    a_path_and_one_above_it: ["/folder/inner", "/folder"], "ls -A /folder | wc -l" => "0";
    a_path_and_one_below_it: ["/folder", "/folder/inner"], "ls -A /folder | wc -l" => "0";
    where_a_link_leads_to_is_hidden: ["/link"], "cat /file /link | wc -c" => "0";
    where_a_link_to_a_folder_leads_to_is_hidden: ["/folder-link"], "ls -A /folder/ /folder-link/ | grep inner | wc -l" => "0";
    a_file_of_the_kernel: ["/proc/kcore"], "cat /proc/kcore | wc -c" => "0";
    a_folder_of_the_kernel: ["/proc/acpi", "/sys/firmware"], "ls -A /sys/firmware | wc -l" => "0";
    a_path_with_a_slash_at_its_end: ["/folder/"], "ls -A /folder | wc -l" => "0";
    nothing_is_hidden_when_the_list_is_empty: [], "cat /file" => "secret";
}

#[test]
fn a_hidden_folder_is_read_only_and_cannot_be_made_writable() {
    let mut case = masking(&["/folder"], "");
    mount_at(&case.table(), "/folder").options(&["ro"]);
}

#[test]
fn hidden_folders_share_one_file_system() {
    let case = masking(&["/folder", "/usr", "/home"], "stat -c %d /folder /usr /home | sort -u | wc -l");
    assert_eq!(case.run().ok(), "1");
}

#[test]
fn a_path_that_stands_twice_is_mounted_once() {
    let mut case = masking(&["/folder", "/folder"], "");
    let table = case.table();
    assert_eq!(mounts(&table).iter().filter(|mount| mount.point == "/folder").count(), 1, "{table}");
}

#[test]
fn a_path_below_a_volume_is_hidden() {
    let mut case = masking(&["/mnt/file"], "cat /mnt/file | wc -c");
    let file = case.file("source/file");
    case.mount("/mnt", "bind", word(file.parent().unwrap()), &["bind"]);
    assert_eq!(case.run().ok(), "0");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "source/file");
}

#[test]
fn paths_are_hidden_below_a_read_only_root() {
    let mut case = masking(&["/file", "/folder"], "cat /file | wc -c; ls -A /folder | wc -l");
    case.set("/root/readonly", true);
    assert_eq!(case.run().ok(), "0\n0");
}

#[test]
fn paths_are_hidden_from_exec() {
    let mut case = masking(&["/file", "/folder"], "");
    case.set("/process/args", ["sleep", "1000"]);
    case.detached();
    assert_eq!(case.exec_sh("cat /file | wc -c; ls -A /folder | wc -l").ok(), "0\n0");
}

#[test]
fn a_pipe_is_hidden_without_anybody_waiting() {
    let case = masking(&["/pipe"], "stat -c %F /pipe");
    rustix::fs::mknodat(rustix::fs::CWD, case.rootfs("pipe"), rustix::fs::FileType::Fifo, 0o644.into(), 0)
        .unwrap();
    assert_eq!(case.run().ok(), "character special file");
}

#[test]
fn a_socket_is_hidden() {
    let case = masking(&["/socket"], "stat -c %F /socket");
    let _listener = std::os::unix::net::UnixListener::bind(case.rootfs("socket")).unwrap();
    assert_eq!(case.run().ok(), "character special file");
}

#[test]
fn a_root_of_the_container_cannot_unmount_what_hides() {
    let mut case = masking(&["/file", "/folder"], "umount /file; umount /folder; cat /file; ls /folder");
    // Without the right to mount; with it, a container is no boundary.
    case.set("/process/user/uid", 0);
    let said = case.run();
    assert_eq!(said.out, "", "{said}");
}

#[test]
fn a_user_namespace_inside_cannot_unmount_what_hides() {
    let case = masking(
        &["/file", "/folder"],
        "unshare -U -r -m sh -c 'umount /file; umount /folder; cat /file; ls /folder'",
    );
    let said = case.run();
    assert_eq!(said.out, "", "{said}");
}

#[test]
fn paths_of_a_container_with_a_user_namespace_are_hidden() {
    let mut case =
        masking(&["/file", "/folder", "/proc/kcore"], "cat /file /proc/kcore | wc -c; ls -A /folder | wc -l");
    case.user_namespace();
    assert_eq!(case.run().ok(), "0\n0");
}

#[test]
fn a_path_through_a_link_out_of_the_root_stays_inside() {
    let case = masking(&["/out/passwd"], "cat /etc/passwd | wc -c");
    std::os::unix::fs::symlink("/etc", case.rootfs("out")).unwrap();
    assert_eq!(case.run().ok(), "0");
    assert!(std::fs::metadata("/etc/passwd").unwrap().len() > 0);
}
