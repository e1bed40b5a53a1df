//! Security modules that the kernel may have: AppArmor, SELinux; and what a processor may have: Intel RDT.

use crate::support::{Case, json, skip};
use std::path::Path;

fn has_apparmor() -> bool {
    Path::new("/sys/module/apparmor/parameters/enabled").exists()
}

fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

#[test]
fn empty_labels_are_none() {
    let mut case = Case::sh("echo works");
    case.set("/process/apparmorProfile", "").set("/process/selinuxLabel", "").set("/linux/mountLabel", "");
    assert_eq!(case.run().ok(), "works");
}

#[test]
fn a_profile_without_apparmor_is_refused() {
    if has_apparmor() {
        skip!("this kernel has AppArmor");
    }
    let mut case = Case::new();
    case.set("/process/apparmorProfile", "some-profile");
    case.run().failed().complains("apparmor");
    case.nothing_left();
}

#[test]
fn a_profile_of_exec_without_apparmor_is_refused() {
    if has_apparmor() {
        skip!("this kernel has AppArmor");
    }
    let case = Case::idle();
    case.detached();
    case.exec_with(&["--apparmor", "some-profile"], &["true"]).failed();
}

#[test]
fn a_process_label_without_selinux_is_refused() {
    if has_selinux() {
        skip!("this kernel has SELinux");
    }
    let mut case = Case::new();
    case.set("/process/selinuxLabel", "system_u:system_r:container_t:s0:c1,c2");
    case.run().failed();
    case.nothing_left();
}

#[test]
fn a_mount_label_without_selinux_is_refused() {
    if has_selinux() {
        skip!("this kernel has SELinux");
    }
    let mut case = Case::new();
    case.set("/linux/mountLabel", "system_u:object_r:container_file_t:s0:c1,c2");
    case.run().failed();
    case.nothing_left();
}

#[test]
fn cache_partitions_without_their_processor_are_refused() {
    if Path::new("/sys/fs/resctrl/schemata").exists() {
        skip!("this processor has Intel RDT");
    }
    let mut case = Case::new();
    case.set("/linux/intelRdt", json!({ "closID": "guaranteed", "l3CacheSchema": "L3:0=f" }));
    case.run().failed();
    case.nothing_left();
}
