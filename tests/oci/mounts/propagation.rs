//! Which mounts go on to others: of a mount, of the root, and between the container and the host.

use super::refused;
use crate::support::{Case, HostMounts, Mount, mount_at, word};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

/// A shared tmpfs of the host, with another in it, bound with options: what the container sees of both.
#[track_caller]
fn bound(options: &[&str]) -> (Mount, Mount) {
    let mut case = Case::new();
    let mut host = HostMounts::default();
    let source = case.folder("source");
    host.tmpfs(&source, MountFlags::empty()).changed(&source, MountPropagationFlags::SHARED);
    let below = source.join("below");
    host.tmpfs(&below, MountFlags::empty()).changed(&below, MountPropagationFlags::SHARED);
    case.mount("/mnt", "bind", word(&source), options);
    let table = case.table();
    drop(host);
    (mount_at(&table, "/mnt"), mount_at(&table, "/mnt/below"))
}

/// The words of a mount's propagation without their numbers.
fn tags(mount: &Mount) -> Vec<&str> {
    mount
        .tags
        .iter()
        .map(|tag| tag.split(':').next().unwrap())
        .filter(|tag| *tag != "propagate_from")
        .collect()
}

macro_rules! propagations {
    ($($name:ident: $option:literal => $top:expr, $below:expr;)*) => {
        $(#[test]
        fn $name() {
            let (top, below) = bound(&["rbind", $option]);
            assert_eq!((tags(&top), tags(&below)), (Vec::from($top), Vec::from($below)), "{top:?} {below:?}");
        })*
    };
}

const NONE: [&str; 0] = [];

propagations! {
    private: "private" => NONE, ["master"];
    rprivate: "rprivate" => NONE, NONE;
    slave: "slave" => ["master"], ["master"];
    rslave: "rslave" => ["master"], ["master"];
    shared: "shared" => ["shared", "master"], ["master"];
    rshared: "rshared" => ["shared", "master"], ["shared", "master"];
    unbindable: "unbindable" => ["unbindable"], ["master"];
    runbindable: "runbindable" => ["unbindable"], ["unbindable"];
}

/// What a container whose root has a propagation sees of its root.
#[track_caller]
fn root(propagation: Option<&str>) -> Mount {
    let mut case = Case::new();
    if let Some(propagation) = propagation {
        case.set("/linux/rootfsPropagation", propagation);
    }
    mount_at(&case.table(), "/")
}

macro_rules! roots {
    ($($name:ident: $propagation:expr => $tags:expr;)*) => {
        $(#[test]
        fn $name() {
            let mount = root($propagation);
            assert_eq!(tags(&mount), Vec::from($tags), "{mount:?}");
        })*
    };
}

roots! {
    a_root_that_is_private: Some("private") => NONE;
    a_root_that_is_private_with_all_below: Some("rprivate") => NONE;
    a_root_that_is_shared: Some("shared") => ["shared"];
    a_root_that_is_unbindable: Some("unbindable") => ["unbindable"];
}

#[test]
fn an_unknown_propagation_of_the_root_is_refused() {
    let mut case = Case::new();
    case.set("/linux/rootfsPropagation", "no-such-word");
    refused(&case);
}

/// Whether a mount made on the host in a shared folder is seen in the container afterwards.
#[track_caller]
fn comes_in(root: &str, option: &str) -> bool {
    let mut case = Case::idle();
    let mut host = HostMounts::default();
    let source = case.folder("source");
    host.tmpfs(&source, MountFlags::empty()).changed(&source, MountPropagationFlags::SHARED);
    std::fs::create_dir(source.join("later")).unwrap();
    if !root.is_empty() {
        case.set("/linux/rootfsPropagation", root);
    }
    case.mount("/mnt", "bind", word(&source), &["rbind", option]);
    case.detached();
    host.tmpfs(&source.join("later"), MountFlags::empty());
    std::fs::write(source.join("later/file"), "").unwrap();
    let said = case.exec(&["ls", "/mnt/later"]);
    drop(host);
    said.ok() == "file"
}

/// Whether a mount made in the container in a shared folder is seen on the host.
#[track_caller]
fn goes_out(root: &str, option: &str) -> bool {
    let mut case = Case::idle();
    if !root.is_empty() {
        case.set("/linux/rootfsPropagation", root);
    }
    let mut host = HostMounts::default();
    let source = case.folder("source");
    host.tmpfs(&source, MountFlags::empty()).changed(&source, MountPropagationFlags::SHARED);
    std::fs::create_dir(source.join("later")).unwrap();
    for set in ["bounding", "effective", "permitted"] {
        case.set(&format!("/process/capabilities/{set}/-"), "CAP_SYS_ADMIN");
    }
    case.mount("/mnt", "bind", word(&source), &["rbind", option]);
    case.detached();
    case.exec_sh("mount -t tmpfs none /mnt/later && touch /mnt/later/file").code(0);
    let seen = source.join("later/file").exists();
    if seen {
        rustix::mount::unmount(source.join("later"), UnmountFlags::DETACH).unwrap();
    }
    drop(host);
    seen
}

#[test]
fn a_later_mount_of_the_host_comes_into_a_slave() {
    assert!(comes_in("", "rslave"));
}

#[test]
fn a_later_mount_of_the_host_comes_into_a_shared_one() {
    assert!(comes_in("shared", "rshared"));
}

#[test]
fn a_later_mount_of_the_host_does_not_come_into_a_private_one() {
    assert!(!comes_in("", "rprivate"));
}

#[test]
fn a_mount_of_the_container_goes_out_of_a_shared_one() {
    assert!(goes_out("rshared", "rshared"));
}

#[test]
fn a_mount_of_the_container_does_not_go_out_of_a_slave() {
    assert!(!goes_out("rslave", "rslave"));
}

#[test]
fn a_mount_of_the_container_does_not_go_out_of_a_private_one() {
    assert!(!goes_out("", "rprivate"));
}

/// Nothing of a container's mounts is seen on the host, whatever its root's propagation and the host's.
#[track_caller]
fn nothing_leaks(propagation: &str, options: &[&str]) {
    let mut case = Case::idle();
    let mut host = HostMounts::default();
    let bundle = case.bundle();
    host.bound(&bundle).changed(&bundle, MountPropagationFlags::SHARED);
    if !propagation.is_empty() {
        case.set("/linux/rootfsPropagation", propagation);
    }
    let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap().matches(word(case.base())).count();
    case.run_with(&[&["--detach"], options].concat()).code(0);
    let after = std::fs::read_to_string("/proc/self/mountinfo").unwrap().matches(word(case.base())).count();
    case.delete_force().code(0);
    drop(host);
    assert_eq!(before, after);
}

macro_rules! leaks {
    ($($name:ident: $propagation:literal, $options:expr;)*) => {
        $(#[test]
        fn $name() {
            nothing_leaks($propagation, &$options);
        })*
    };
}

leaks! {
    nothing_leaks_from_a_root_without_a_word: "", [];
    nothing_leaks_from_a_private_root: "rprivate", [];
    nothing_leaks_from_a_slave_root: "rslave", [];
    nothing_leaks_without_a_new_root: "", ["--no-pivot"];
}
