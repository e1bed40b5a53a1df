//! Symbolic links on the way to a target: they are followed inside the root.

use super::refused;
use crate::support::{Case, HostMounts, mount_at, word};
use rustix::mount::MountFlags;
use std::os::unix::fs::symlink;

/// Makes a link in the root file system, binds a folder onto a path, and gives where it is found inside.
#[track_caller]
fn bound(links: &[(&str, &str)], target: &str) -> Case {
    let mut case = Case::new();
    for (path, points_to) in links {
        symlink(points_to, case.rootfs(path)).unwrap();
    }
    let file = case.file("source/file");
    let source = word(file.parent().unwrap()).to_owned();
    case.mount(target, "bind", &source, &["bind"]);
    case
}

macro_rules! followed {
    ($($name:ident: $links:expr, $target:literal => $found:literal;)*) => {
        $(#[test]
        fn $name() {
            let mut case = bound(&$links, $target);
            case.set("/process/args", ["cat", concat!($found, "/file")]);
            assert_eq!(case.run().ok(), "source/file");
        })*
    };
}

followed! {
    an_absolute_link_leads_inside: [("link", "/mnt")], "/link" => "/mnt";
    a_relative_link: [("usr/link", "../mnt")], "/usr/link" => "/mnt";
    a_link_in_the_middle: [("link", "/usr")], "/link/deep" => "/usr/deep";
    a_link_that_climbs_stays_inside: [("usr/link", "../../../../../mnt")], "/usr/link" => "/mnt";
    a_link_to_a_link: [("one", "two"), ("two", "/mnt")], "/one" => "/mnt";
    a_dangling_link_at_the_end: [("link", "/new/place")], "/link" => "/new/place";
    a_dangling_link_in_the_middle: [("link", "/new")], "/link/deep" => "/new/deep";
    a_dangling_relative_link: [("usr/link", "new")], "/usr/link" => "/usr/new";
    a_dangling_link_that_climbs: [("link", "../../new")], "/link" => "/new";
    dots_after_a_link: [("link", "/usr")], "/link/../mnt" => "/mnt";
}

#[test]
fn a_dangling_link_gets_a_file_for_a_file() {
    let mut case = Case::sh("stat -c %F /new/place; cat /new/place");
    let file = case.file("file");
    symlink("/new/place", case.rootfs("link")).unwrap();
    case.mount("/link", "bind", word(&file), &["bind"]);
    assert_eq!(case.run().ok(), "regular file\nfile");
}

#[test]
fn links_in_a_circle_are_refused() {
    let mut case = Case::new();
    symlink("two", case.rootfs("one")).unwrap();
    symlink("one", case.rootfs("two")).unwrap();
    case.mount("/one/deep", "tmpfs", "tmpfs", &[]);
    refused(&case);
}

#[test]
fn a_link_into_an_earlier_mount_leads_there() {
    let mut case = Case::sh("stat -f -c %T /first/deep; cat /first/deep/file");
    let file = case.file("source/file");
    symlink("/first/deep", case.rootfs("link")).unwrap();
    case.mount("/first", "tmpfs", "tmpfs", &[]);
    case.mount("/link", "bind", word(file.parent().unwrap()), &["bind"]);
    assert!(case.run().ok().ends_with("source/file"));
}

#[test]
fn a_link_below_dev_does_not_lead_out() {
    // The container's own /dev has links of the host's kind; an absolute one is the container's.
    let mut case = Case::sh("ls /mnt/deep");
    symlink("/mnt", case.rootfs("usr/out")).unwrap();
    let file = case.file("source/file");
    case.mount("/usr/out/deep", "bind", word(file.parent().unwrap()), &["bind"]);
    assert_eq!(case.run().ok(), "file");
    assert!(!std::path::Path::new("/mnt/deep").exists());
}

#[test]
fn a_link_in_a_bound_folder_leads_inside_the_root() {
    // The folder is the host's, its link absolute: /mnt is the container's.
    let mut case = Case::sh("cat /mnt/deep/file");
    let first = case.folder("first");
    symlink("/mnt", first.join("link")).unwrap();
    let file = case.file("second/file");
    case.mount("/first", "bind", word(&first), &["bind"]);
    case.mount("/first/link/deep", "bind", word(file.parent().unwrap()), &["bind"]);
    assert_eq!(case.run().ok(), "second/file");
}

#[test]
fn proc_that_is_a_link_is_refused() {
    let case = Case::new();
    std::fs::remove_dir(case.rootfs("proc")).unwrap();
    symlink("tmp", case.rootfs("proc")).unwrap();
    refused(&case).complains("must be mounted on ordinary directory");
}

#[test]
fn sys_that_is_a_link_is_refused() {
    let case = Case::new();
    std::fs::remove_dir(case.rootfs("sys")).unwrap();
    symlink("tmp", case.rootfs("sys")).unwrap();
    refused(&case).complains("must be mounted on ordinary directory");
}

#[test]
fn a_link_is_copied_when_told_to() {
    let mut case = Case::sh("readlink /etc/link");
    let link = case.base().join("link");
    symlink("some/where", &link).unwrap();
    case.mount("/etc/link", "bind", word(&link), &["bind", "copy-symlink"]);
    assert_eq!(case.run().ok(), "some/where");
}

#[test]
fn a_link_is_bound_itself_when_it_is_not_to_be_followed() {
    let mut case = Case::sh("readlink /etc/link");
    let link = case.base().join("link");
    symlink("some/where", &link).unwrap();
    symlink("other", case.rootfs("etc/link")).unwrap();
    case.mount("/etc/link", "bind", word(&link), &["bind", "src-nofollow", "dest-nofollow"]);
    assert_eq!(case.run().ok(), "some/where");
}

#[test]
fn a_target_that_is_a_link_is_covered_itself_when_it_is_not_to_be_followed() {
    let mut case = Case::sh("stat -c %F /etc/link; cat /etc/link");
    let file = case.file("file");
    symlink("passwd", case.rootfs("etc/link")).unwrap();
    case.mount("/etc/link", "bind", word(&file), &["bind", "dest-nofollow"]);
    assert_eq!(case.run().ok(), "regular file\nfile");
}

#[test]
fn a_target_below_a_mount_of_the_host_is_made_there() {
    let mut case = Case::new();
    let mut host = HostMounts::default();
    let source = case.folder("source");
    host.tmpfs(&source, MountFlags::empty());
    case.mount("/mnt", "bind", word(&source), &["rbind"]).mount("/mnt/made", "tmpfs", "tmpfs", &[]);
    let table = case.table();
    let made = source.join("made").is_dir();
    drop(host);
    assert_eq!((mount_at(&table, "/mnt/made").kind.as_str(), made), ("tmpfs", true));
}
