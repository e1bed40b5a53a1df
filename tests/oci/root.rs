//! The root: read-only or not, moved or pivoted to, and nothing of the host's behind it.

use crate::support::{Case, mount_at, mounts, word};

#[test]
fn it_can_be_written_by_default() {
    let case = Case::sh("echo text > /file");
    case.run().code(0);
    assert_eq!(std::fs::read_to_string(case.rootfs("file")).unwrap(), "text\n");
}

#[test]
fn it_can_be_written_when_nothing_is_said() {
    let mut case = Case::sh("touch /file");
    case.unset("/root/readonly");
    case.run().code(0);
}

/// A case with a read-only root.
fn closed(script: &str) -> Case {
    let mut case = Case::sh(script);
    case.set("/root/readonly", true);
    case
}

#[test]
fn a_read_only_root_cannot_be_written() {
    closed("touch /file").run().failed().complains("Read-only file system");
}

#[test]
fn a_read_only_root_says_so() {
    let mut case = closed("");
    mount_at(&case.table(), "/").options(&["ro"]);
}

#[test]
fn a_read_only_root_cannot_be_chmoded_chowned_or_removed_from() {
    let said =
        closed("chmod 700 /etc; chown 1 /etc/passwd; rm /etc/group; mkdir /new; ln -s a /b; : > /etc/passwd")
            .run()
            .failed();
    assert_eq!(said.err.matches("Read-only file system").count(), 6, "{said}");
}

#[test]
fn a_read_only_root_leaves_the_hosts_writable() {
    let case = closed("true");
    case.run().code(0);
    std::fs::write(case.rootfs("file"), "").unwrap();
}

macro_rules! writable {
    ($($name:ident: $script:literal;)*) => {
        $(#[test]
        fn $name() {
            closed($script).run().code(0);
        })*
    };
}

writable! {
    dev_can_be_written_below_a_read_only_root: "touch /dev/file && echo x > /dev/null";
    shared_memory_can_be_written_below_a_read_only_root: "touch /dev/shm/file";
    own_proc_can_be_written_below_a_read_only_root: "echo 100 > /proc/self/oom_score_adj";
}

#[test]
fn a_volume_can_be_written_below_a_read_only_root() {
    let mut case = closed("echo text > /mnt/file && echo text > /tmp/file");
    let source = case.folder("source");
    case.mount("/mnt", "bind", word(&source), &["bind"]).mount("/tmp", "tmpfs", "tmpfs", &[]);
    case.run().code(0);
    assert!(source.join("file").exists());
}

#[test]
fn mount_points_are_made_in_a_read_only_root() {
    let mut case = closed("stat -f -c %T /new/place");
    case.mount("/new/place", "tmpfs", "tmpfs", &[]);
    assert_eq!(case.run().ok(), "tmpfs");
}

#[test]
fn a_missing_working_directory_is_made_in_a_read_only_root() {
    let mut case = closed("pwd");
    case.set("/process/cwd", "/made/here");
    let said = case.run();
    // It is made before the root is closed, or refused in words; never skipped.
    assert!(said.out == "/made/here\n" || (said.code != 0 && said.err.contains("/made/here")), "{said}");
}

#[test]
fn exec_sees_a_read_only_root() {
    let mut case = Case::idle();
    case.set("/root/readonly", true);
    case.detached();
    case.exec(&["touch", "/file"]).failed().complains("Read-only file system");
}

#[test]
fn a_read_only_root_of_a_created_container_gets_no_file() {
    let mut case = Case::idle();
    case.set("/root/readonly", true);
    let before = std::fs::read_dir(case.rootfs("")).unwrap().count();
    case.create().code(0);
    assert_eq!(std::fs::read_dir(case.rootfs("")).unwrap().count(), before);
}

#[test]
fn above_the_root_is_the_root() {
    let case =
        Case::sh("cd /; cd ..; ls etc/passwd; ls /../../../etc/passwd; stat -c %i / /..  | uniq | wc -l");
    assert_eq!(case.run().ok(), "etc/passwd\n/../../../etc/passwd\n1");
}

#[test]
fn no_mount_of_the_host_is_left() {
    let mut case = Case::new();
    let table = case.table();
    let names = ["/proc", "/dev", "/sys"];
    let foreign = mounts(&table)
        .into_iter()
        .find(|mount| mount.point != "/" && !names.iter().any(|name| mount.point.starts_with(name)));
    assert!(foreign.is_none(), "{foreign:?}");
}

#[test]
fn the_root_is_mounted_once() {
    let mut case = Case::new();
    let table = case.table();
    assert_eq!(mounts(&table).iter().filter(|mount| mount.point == "/").count(), 1, "{table}");
}

/// Runs a script in a container whose root is moved, not pivoted to (on a ramdisk nothing can be pivoted to).
#[track_caller]
fn moved(script: &str) -> String {
    Case::sh(script).run_with(&["--no-pivot"]).ok()
}

#[test]
fn without_a_pivot_the_root_is_the_bundles() {
    assert_eq!(moved("cat /etc/passwd | head -1 | cut -d: -f1; ls /.. | grep -c proc"), "root\n1");
}

#[test]
fn without_a_pivot_exec_sees_the_same_root() {
    let case = Case::idle();
    case.run_with(&["--detach", "--no-pivot"]).code(0);
    assert_eq!(case.exec(&["head", "-1", "/etc/passwd"]).ok(), "root:x:0:0:root:/root:/bin/sh");
}

#[test]
fn without_a_pivot_create_and_start_work() {
    let case = Case::sh("touch /ran");
    case.create_with(&["--no-pivot"]).code(0);
    case.start().code(0);
    case.appears("/ran");
}

#[test]
fn without_a_pivot_masked_paths_hold() {
    assert_eq!(moved("cat /proc/kcore | wc -c"), "0");
}

#[test]
fn without_a_pivot_a_read_only_root_holds() {
    let case = closed("touch /file");
    case.run_with(&["--no-pivot"]).failed().complains("Read-only file system");
}

/// Tries to mount a proc that nobody has masked, in a user namespace of the container's own.
const BARE_PROC: &str = "unshare -U -r -m -p -f mount -t proc proc /tmp && echo bare";

#[test]
fn a_bare_proc_cannot_be_mounted_inside() {
    let said = Case::sh(BARE_PROC).run();
    assert!(!said.out.contains("bare"), "{said}");
}

#[test]
fn without_a_pivot_a_bare_proc_cannot_be_mounted_inside() {
    let said = Case::sh(BARE_PROC).run_with(&["--no-pivot"]);
    assert!(!said.out.contains("bare"), "{said}");
}
