//! What is bound: folders, files, pipes, sockets, devices; sources by relative path; sources that are not there.

use super::refused;
use crate::support::{Case, mount_at, word};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

#[test]
fn a_folder() {
    let mut case = Case::sh("cat /mnt/file; echo new > /mnt/other");
    let file = case.file("source/file");
    case.mount("/mnt", "bind", word(file.parent().unwrap()), &["bind"]);
    assert_eq!(case.run().ok(), "source/file");
    assert_eq!(std::fs::read_to_string(case.base().join("source/other")).unwrap(), "new\n");
}

#[test]
fn a_folder_onto_one_that_is_not_there() {
    let mut case = Case::sh("cat /a/b/c/file; stat -c %F /a/b/c");
    let file = case.file("source/file");
    case.mount("/a/b/c", "bind", word(file.parent().unwrap()), &["bind"]);
    assert_eq!(case.run().ok(), "source/filedirectory");
}

#[test]
fn folders_that_are_made_for_a_target_are_for_everyone() {
    let mut case = Case::sh("stat -c '%a %u' /a /a/b");
    case.mount("/a/b/c", "tmpfs", "tmpfs", &[]);
    assert_eq!(case.run().ok(), "755 0\n755 0");
}

#[test]
fn a_folder_that_is_made_for_a_target_keeps_the_group_of_its_parent() {
    let mut case = Case::new();
    let parent = case.rootfs("parent");
    std::fs::create_dir(&parent).unwrap();
    std::os::unix::fs::chown(&parent, Some(0), Some(50)).unwrap();
    std::fs::set_permissions(&parent, std::fs::Permissions::from_mode(0o2755)).unwrap();
    case.mount("/parent/made/target", "tmpfs", "tmpfs", &[]);
    case.run().code(0);
    let made = std::fs::metadata(parent.join("made")).unwrap();
    assert_eq!(
        (std::os::unix::fs::MetadataExt::gid(&made), made.permissions().mode() & 0o7777),
        (50, 0o2755)
    );
}

#[test]
fn a_file() {
    let mut case = Case::sh("cat /etc/hosts");
    let file = case.file("hosts");
    std::fs::write(case.rootfs("etc/hosts"), "below").unwrap();
    case.mount("/etc/hosts", "bind", word(&file), &["bind", "ro"]);
    assert_eq!(case.run().ok(), "hosts");
    assert_eq!(std::fs::read_to_string(case.rootfs("etc/hosts")).unwrap(), "below");
}

#[test]
fn a_file_onto_one_that_is_not_there() {
    let mut case = Case::sh("cat /new/folder/hosts; echo changed > /new/folder/hosts");
    let file = case.file("hosts");
    case.mount("/new/folder/hosts", "bind", word(&file), &["bind"]);
    assert_eq!(case.run().ok(), "hosts");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "changed\n");
    assert!(case.rootfs("new/folder/hosts").is_file());
}

#[test]
fn a_file_by_rbind() {
    let mut case = Case::sh("cat /etc/hosts");
    let file = case.file("hosts");
    case.mount("/etc/hosts", "bind", word(&file), &["rbind", "ro"]);
    assert_eq!(case.run().ok(), "hosts");
}

#[test]
fn a_read_only_file_cannot_be_written() {
    let mut case = Case::sh("echo changed > /etc/hosts");
    let file = case.file("hosts");
    case.mount("/etc/hosts", "bind", word(&file), &["bind", "ro"]);
    case.run().failed().complains("Read-only file system");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "hosts");
}

#[test]
fn a_pipe_with_a_name() {
    let mut case = Case::sh("stat -c %F /run/pipe /pipe");
    let pipe = case.base().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    // Nobody writes into it: whoever opens it in earnest waits for ever.
    case.mount("/run/pipe", "bind", word(&pipe), &["bind"]).mount(
        "/pipe",
        "bind",
        word(&pipe),
        &["bind", "ro"],
    );
    assert_eq!(case.run().ok(), "fifo\nfifo");
}

#[test]
fn a_socket() {
    let mut case = Case::sh("stat -c %F /run/socket");
    let path = case.base().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    case.mount("/run/socket", "bind", word(&path), &["bind"]);
    assert_eq!(case.run().ok(), "socket");
}

#[test]
fn a_device_of_the_host() {
    let mut case = Case::sh("stat -c '%F %t:%T' /dev/some");
    case.mount("/dev/some", "bind", "/dev/zero", &["bind"]);
    assert_eq!(case.run().ok(), "character special file 1:5");
}

#[test]
fn a_link_of_the_host_is_followed() {
    let mut case = Case::sh("stat -c %F /mnt/x; cat /mnt/x");
    case.file("real");
    let link = case.base().join("link");
    std::os::unix::fs::symlink("real", &link).unwrap();
    case.mount("/mnt/x", "bind", word(&link), &["bind"]);
    assert_eq!(case.run().ok(), "regular file\nreal");
}

#[test]
fn a_relative_source_is_below_the_bundle() {
    let mut case = Case::sh("cat /mnt/file");
    case.file("bundle/source/file");
    case.mount("/mnt", "bind", "source", &["bind"]);
    assert_eq!(case.run().ok(), "bundle/source/file");
}

#[test]
fn a_relative_source_may_climb_out_of_the_bundle() {
    let mut case = Case::sh("cat /mnt/file");
    case.file("source/file");
    case.mount("/mnt", "bind", "../source", &["bind"]);
    assert_eq!(case.run().ok(), "source/file");
}

#[test]
fn a_relative_source_has_nothing_to_do_with_the_callers_folder() {
    let mut case = Case::sh("cat /mnt/file");
    case.file("bundle/source/file");
    case.file("elsewhere/source/file");
    case.mount("/mnt", "bind", "source", &["bind"]);
    let mut command = case.bundled("run", &[]);
    command.current_dir(case.base().join("elsewhere"));
    assert_eq!(case.end(command).ok(), "bundle/source/file");
}

#[test]
fn a_source_within_the_root_file_system() {
    let mut case = Case::sh("cat /mnt/passwd");
    let source = case.rootfs("etc");
    case.mount("/mnt", "bind", word(&source), &["bind"]);
    assert!(case.run().ok().starts_with("root:"));
}

#[test]
fn the_kind_may_be_none() {
    let mut case = Case::sh("cat /mnt/file");
    let file = case.file("source/file");
    case.mount("/mnt", "none", word(file.parent().unwrap()), &["bind"]);
    assert_eq!(case.run().ok(), "source/file");
}

#[test]
fn the_kind_may_be_missing() {
    let mut case = Case::sh("cat /mnt/file");
    let file = case.file("source/file");
    case.mount("/mnt", "", word(file.parent().unwrap()), &["rbind"]);
    let last = case.config["mounts"].as_array_mut().unwrap().last_mut().unwrap();
    last.as_object_mut().unwrap().remove("type");
    assert_eq!(case.run().ok(), "source/file");
}

#[test]
fn an_option_bind_wins_over_a_kind() {
    let mut case = Case::sh("cat /mnt/file");
    let file = case.file("source/file");
    case.mount("/mnt", "tmpfs", word(file.parent().unwrap()), &["bind"]);
    assert_eq!(case.run().ok(), "source/file");
}

#[test]
fn a_new_file_system_needs_no_source() {
    let mut case = Case::new();
    case.mount("/mnt", "tmpfs", "", &[]);
    let last = case.config["mounts"].as_array_mut().unwrap().last_mut().unwrap();
    last.as_object_mut().unwrap().remove("source");
    assert_eq!(mount_at(&case.table(), "/mnt").kind, "tmpfs");
}

#[test]
fn a_source_that_is_not_there_is_named() {
    let mut case = Case::new();
    case.mount("/mnt", "bind", "/no/such/source", &["bind"]);
    let said = refused(&case);
    assert!(said.err.contains("/no/such/source"), "{said}");
}

#[test]
fn a_relative_source_that_is_not_there_is_refused() {
    let mut case = Case::new();
    case.mount("/mnt", "bind", "nothing", &["bind"]);
    refused(&case);
    assert!(!case.bundle().join("nothing").exists());
}

#[test]
fn a_folder_onto_a_file_is_refused() {
    let mut case = Case::new();
    let source = case.folder("source");
    std::fs::write(case.rootfs("file"), "").unwrap();
    case.mount("/file", "bind", word(&source), &["bind"]);
    refused(&case);
}

#[test]
fn a_file_onto_a_folder_is_refused() {
    let mut case = Case::new();
    let file = case.file("file");
    case.mount("/mnt", "bind", word(&file), &["bind"]);
    refused(&case);
}

#[test]
fn a_relative_target_is_below_the_root() {
    let mut case = Case::sh("cat /mnt/file");
    let file = case.file("source/file");
    case.set("/process/cwd", "/tmp");
    case.mount("mnt", "bind", word(file.parent().unwrap()), &["bind"]);
    assert_eq!(case.run().ok(), "source/file");
}

#[test]
fn a_target_with_doubled_slashes() {
    let mut case = Case::sh("cat /mnt/deep/file");
    let file = case.file("source/file");
    case.mount("//mnt//deep/", "bind", word(file.parent().unwrap()), &["bind"]);
    assert_eq!(case.run().ok(), "source/file");
}

#[test]
fn a_target_that_goes_up_and_down() {
    let mut case = Case::sh("cat /mnt/file");
    let file = case.file("source/file");
    case.mount("/usr/../mnt/.", "bind", word(file.parent().unwrap()), &["bind"]);
    assert_eq!(case.run().ok(), "source/file");
}

#[test]
fn a_target_that_climbs_stays_below_the_root() {
    let mut case = Case::sh("cat /mnt/file");
    let file = case.file("source/file");
    case.mount("/../../../../mnt", "bind", word(file.parent().unwrap()), &["bind"]);
    assert_eq!(case.run().ok(), "source/file");
}

#[test]
fn a_bind_with_options_of_a_file_system_is_refused() {
    let mut case = Case::new();
    let source = case.folder("source");
    case.mount("/mnt", "bind", word(&source), &["bind", "mode=755", "size=1k"]);
    refused(&case);
}

#[test]
fn the_descriptors_of_sources_are_closed() {
    let mut case = Case::idle();
    let source = case.folder("source");
    case.mount("/mnt", "bind", word(&source), &["rbind", "ro"]);
    case.create().code(0);
    let folder = format!("/proc/{}/fd", case.pid());
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        assert!(!target.starts_with(&source) && target.as_os_str() != "/mnt", "{}", target.display());
    }
}
