//! `readonlyPaths`.

use crate::support::{Case, HostMounts, json, mount_at, word};
use rustix::mount::MountFlags;

/// A case that closes these paths alone.
fn closing(paths: &[&str], script: &str) -> Case {
    let mut case = Case::sh(script);
    case.set("/linux/readonlyPaths", json!(paths));
    std::fs::write(case.rootfs("file"), "text").unwrap();
    std::fs::create_dir_all(case.rootfs("folder/deep")).unwrap();
    std::os::unix::fs::symlink("/folder", case.rootfs("link")).unwrap();
    case
}

macro_rules! closes {
    ($($name:ident: $paths:expr, $script:literal => $expected:literal;)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(closing(&$paths, $script).run().ok(), $expected);
        })*
    };
}

closes! {
    a_folder_takes_no_file: ["/folder"], "touch /folder/x 2> /dev/null || echo closed" => "closed";
    a_folder_in_it_takes_no_file: ["/folder"], "touch /folder/deep/x 2> /dev/null || echo closed" => "closed";
    a_folder_beside_it_takes_files: ["/folder/deep"], "touch /folder/x && echo open" => "open";
    a_file_cannot_be_written: ["/file"], "(echo x > /file) 2> /dev/null || cat /file" => "text";
    what_is_not_there_is_passed_over: ["/no/such/path"], "echo alive" => "alive";
    a_path_that_stands_twice: ["/folder", "/folder"], "touch /folder/x 2> /dev/null || echo closed" => "closed";
    where_a_link_leads_to_is_closed: ["/link"], "touch /folder/x 2> /dev/null || echo closed" => "closed";
    settings_of_the_kernel: ["/proc/sys"], "(echo 1 > /proc/sys/kernel/panic) 2> /dev/null || echo closed" => "closed";
    a_file_of_the_kernel: ["/proc/sysrq-trigger"], "(echo h > /proc/sysrq-trigger) 2> /dev/null || echo closed" => "closed";
    a_path_with_a_slash_at_its_end: ["/folder/"], "touch /folder/x 2> /dev/null || echo closed" => "closed";
    an_empty_list: [], "touch /folder/x && echo open" => "open";
}

#[test]
fn a_mount_of_its_own_is_closed() {
    let mut case = closing(&["/mnt"], "touch /mnt/x");
    case.mount("/mnt", "tmpfs", "tmpfs", &[]);
    case.run().failed().complains("Read-only file system");
}

#[test]
fn a_mount_keeps_its_other_flags() {
    let mut case = closing(&["/mnt"], "");
    case.mount("/mnt", "tmpfs", "tmpfs", &["nosuid", "nodev", "noexec"]);
    mount_at(&case.table(), "/mnt").options(&["ro", "nosuid", "nodev", "noexec"]);
}

#[test]
fn a_folder_below_a_mount_keeps_its_flags() {
    let mut case = closing(&["/mnt/deep"], "");
    let source = case.folder("source");
    std::fs::create_dir(source.join("deep")).unwrap();
    case.mount("/mnt", "bind", word(&source), &["bind", "nosuid", "noexec"]);
    mount_at(&case.table(), "/mnt/deep").options(&["ro", "nosuid", "noexec"]);
}

#[test]
fn mounts_below_are_still_there() {
    let mut case = closing(&["/mnt"], "cat /mnt/below/file");
    let mut host = HostMounts::default();
    let source = case.folder("source");
    host.tmpfs(&source.join("below"), MountFlags::empty());
    std::fs::write(source.join("below/file"), "text").unwrap();
    case.mount("/mnt", "bind", word(&source), &["rbind"]);
    let said = case.run();
    drop(host);
    assert_eq!(said.ok(), "text");
}

#[test]
fn exec_finds_them_closed() {
    let mut case = closing(&["/folder"], "");
    case.set("/process/args", ["sleep", "1000"]);
    case.detached();
    case.exec(&["touch", "/folder/x"]).failed().complains("Read-only file system");
}

#[test]
fn they_work_below_a_read_only_root() {
    let mut case = closing(&["/mnt"], "touch /mnt/x");
    case.set("/root/readonly", true).mount("/mnt", "tmpfs", "tmpfs", &[]);
    case.run().failed().complains("Read-only file system");
}

#[test]
fn they_work_with_a_user_namespace() {
    let mut case = closing(
        &["/folder", "/proc/sys"],
        "touch /folder/x 2> /dev/null || (echo 1 > /proc/sys/kernel/panic) 2> /dev/null || echo closed",
    );
    case.user_namespace();
    assert_eq!(case.run().ok(), "closed");
}

#[test]
fn the_host_can_still_write() {
    let case = closing(&["/folder"], "true");
    case.run().code(0);
    std::fs::write(case.rootfs("folder/x"), "").unwrap();
}

#[test]
fn a_user_namespace_inside_cannot_open_them() {
    let case = closing(
        &["/folder"],
        "unshare -U -r -m sh -c 'mount -o remount,bind,rw /folder; umount /folder; touch /folder/x'; ls /folder",
    );
    let said = case.run();
    assert_eq!(said.out, "deep\n", "{said}");
}
