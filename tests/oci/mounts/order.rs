//! Mounts are made in the order of the list, read-only ones closed at the end.

use super::refused;
use crate::support::{Case, mount_at, mounts, word};

#[test]
fn a_later_mount_covers_an_earlier_one() {
    let mut case = Case::sh("ls /mnt");
    let (first, second) = (case.file("first/1"), case.file("second/2"));
    case.mount("/mnt", "bind", word(first.parent().unwrap()), &["bind"]);
    case.mount("/mnt", "bind", word(second.parent().unwrap()), &["bind"]);
    assert_eq!(case.run().ok(), "2");
}

#[test]
fn a_mount_in_an_earlier_one_is_seen() {
    let mut case = Case::sh("stat -f -c %T /a /a/b /a/b/c; cat /a/b/c/file");
    let file = case.file("source/file");
    case.mount("/a", "tmpfs", "tmpfs", &[]).mount("/a/b", "tmpfs", "tmpfs", &[]);
    case.mount("/a/b/c", "bind", word(file.parent().unwrap()), &["bind"]);
    let said = case.run().ok();
    assert!(said.starts_with("tmpfs\ntmpfs\n") && said.ends_with("source/file"), "{said}");
}

#[test]
fn a_mount_before_the_one_above_it_is_covered() {
    let mut case = Case::sh("ls /a");
    std::fs::create_dir(case.rootfs("a")).unwrap();
    case.mount("/a/b", "tmpfs", "tmpfs", &[]).mount("/a", "tmpfs", "tmpfs", &[]);
    assert_eq!(case.run().ok(), "");
}

#[test]
fn ten_in_each_other_from_the_root_itself() {
    let mut case = Case::new();
    let root = case.bundle().join("rootfs");
    for depth in 0..10 {
        let path = format!("/0{}", (1..=depth).map(|step| format!("/{step}")).collect::<String>());
        std::fs::create_dir_all(root.join(path.trim_start_matches('/'))).unwrap();
        let source = root.join(path.trim_start_matches('/'));
        case.mount(&path, "bind", word(&source), &["bind"]);
    }
    let table = case.table();
    assert_eq!(mounts(&table).iter().filter(|mount| mount.point.starts_with("/0")).count(), 10, "{table}");
}

#[test]
fn a_source_within_the_root_has_what_was_mounted_there_before() {
    let mut case = Case::sh("ls /copy");
    let file = case.file("source/file");
    let inside = case.rootfs("mnt");
    std::fs::write(case.rootfs("mnt/plain"), "").unwrap();
    case.mount("/mnt", "bind", word(file.parent().unwrap()), &["bind"]);
    case.mount("/copy", "bind", word(&inside), &["rbind"]);
    // The source is a path of the host, below the container's root, which has its mounts by then.
    assert_eq!(case.run().ok(), "file");
}

#[test]
fn a_read_only_tmpfs_gets_its_mount_points_first() {
    let mut case = Case::sh("cat /ro/below/file; touch /ro/x");
    let file = case.file("source/file");
    case.mount("/ro", "tmpfs", "tmpfs", &["ro"]);
    case.mount("/ro/below", "bind", word(file.parent().unwrap()), &["bind"]);
    let said = case.run().failed().complains("Read-only file system");
    assert_eq!(said.out, "source/file");
}

#[test]
fn a_read_only_dev_has_its_devices() {
    let mut case = Case::sh("echo x > /dev/null && ls /dev/fd /dev/ptmx > /dev/null && touch /dev/x");
    case.set("/mounts/1/options", ["nosuid", "strictatime", "mode=755", "ro"]);
    case.run().failed().complains("Read-only file system");
}

#[test]
fn a_read_only_dev_keeps_its_other_flags() {
    let mut case = Case::new();
    case.set("/mounts/1/options", ["nosuid", "noexec", "strictatime", "mode=755", "ro"]);
    mount_at(&case.table(), "/dev").options(&["ro", "nosuid", "noexec"]);
}

#[test]
fn a_read_only_tmpfs_keeps_its_other_flags() {
    let mut case = Case::new();
    case.mount("/ro", "tmpfs", "tmpfs", &["ro", "nosuid", "nodev", "noexec", "mode=700"]);
    mount_at(&case.table(), "/ro").options(&["ro", "nosuid", "nodev", "noexec"]);
}

#[test]
fn a_remount_changes_an_earlier_mount() {
    let mut case = Case::new();
    let source = case.folder("source");
    case.mount("/mnt", "bind", word(&source), &["bind"]);
    case.mount("/mnt", "bind", word(&source), &["bind", "remount", "ro", "nosuid"]);
    let table = case.table();
    mount_at(&table, "/mnt").options(&["ro", "nosuid"]);
    assert_eq!(mounts(&table).iter().filter(|mount| mount.point == "/mnt").count(), 1, "{table}");
}

#[test]
fn a_mount_on_the_root_replaces_it() {
    let mut case = Case::sh("cat /marker");
    let other = case.folder("other");
    // The whole of another root file system, bound over the first.
    let copied =
        std::process::Command::new("cp").arg("-a").arg(case.rootfs(".")).arg(&other).status().unwrap();
    assert!(copied.success());
    std::fs::write(other.join("marker"), "other").unwrap();
    let mount = serde_json::json!({ "destination": "/", "type": "bind", "source": word(&other), "options": ["rbind"] });
    case.config["mounts"].as_array_mut().unwrap().insert(0, mount);
    assert_eq!(case.run().ok(), "other");
}

#[test]
fn no_mount_at_all() {
    let mut case = Case::sh("ls /proc /sys; ls /dev");
    case.set("/mounts", serde_json::json!([]));
    case.unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
    // Devices are made in the root file system itself.
    let said = case.run();
    assert!(said.out.contains("null"), "{said}");
}

macro_rules! without {
    ($($name:ident: $target:literal;)*) => {
        $(#[test]
        fn $name() {
            let mut case = Case::sh(concat!("ls ", $target, " > /dev/null; echo alive"));
            let list = case.config["mounts"].as_array_mut().unwrap();
            list.retain(|mount| !mount["destination"].as_str().unwrap().starts_with($target));
            assert_eq!(case.run().ok(), "alive");
        })*
    };
}

without! {
    without_sys: "/sys";
    without_proc: "/proc";
    without_dev: "/dev";
}

#[test]
fn a_missing_root_is_refused_and_named() {
    let mut case = Case::new();
    case.set("/root/path", "no-such-root");
    let said = refused(&case);
    assert!(said.err.contains("no-such-root"), "{said}");
}

#[test]
fn the_root_may_be_the_bundle_itself() {
    let mut case = Case::sh("ls /marker");
    case.set("/root/path", ".");
    std::fs::write(case.rootfs("marker"), "").unwrap();
    // The bundle with the root's content in it.
    for entry in std::fs::read_dir(case.rootfs("")).unwrap().flatten() {
        std::fs::rename(entry.path(), case.bundle().join(entry.file_name())).unwrap();
    }
    assert_eq!(case.run().ok(), "/marker");
}

#[test]
fn the_root_may_be_an_absolute_path() {
    let mut case = Case::sh("ls /etc/passwd");
    let root = case.bundle().join("rootfs");
    case.set("/root/path", word(&root));
    assert_eq!(case.run().ok(), "/etc/passwd");
}

#[test]
fn the_root_may_be_a_link() {
    let mut case = Case::sh("ls /etc/passwd");
    std::os::unix::fs::symlink("rootfs", case.bundle().join("link")).unwrap();
    case.set("/root/path", "link");
    let said = case.run();
    // Either is sound; what must not happen is a start elsewhere.
    assert!(said.code != 0 || said.out == "/etc/passwd\n", "{said}");
}
