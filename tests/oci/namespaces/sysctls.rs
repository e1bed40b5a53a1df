//! Kernel parameters of the container's namespaces.

use super::refused;
use crate::support::{Case, json};

#[test]
fn sysctls_of_new_namespaces_are_set() {
    let mut case =
        Case::sh("cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward /proc/sys/fs/mqueue/queues_max");
    case.set(
        "/linux/sysctl",
        json!({ "kernel.msgmax": "65536", "net.ipv4.ip_forward": "1", "fs.mqueue.queues_max": "77" }),
    );
    assert_eq!(case.run().ok(), "65536\n1\n77");
}

#[test]
fn a_sysctl_may_be_written_with_slashes() {
    let mut case = Case::sh("cat /proc/sys/net/ipv4/ip_forward");
    case.set("/linux/sysctl", json!({ "net/ipv4/ip_forward": "1" }));
    assert_eq!(case.run().ok(), "1");
}

macro_rules! sysctl_refusals {
    ($($name:ident: $without:expr, $key:literal;)*) => {
        $(#[test]
        fn $name() {
            let mut case = Case::new();
            let without: &[&str] = &$without;
            for kind in without {
                case.without_namespace(kind);
            }
            if without.contains(&"uts") {
                case.unset("/hostname");
            }
            case.set("/linux/sysctl", json!({ $key: "1" }));
            refused(&case);
        })*
    };
}

sysctl_refusals! {
    a_sysctl_of_the_whole_host_is_refused: [], "kernel.panic";
    a_sysctl_of_memory_is_refused: [], "vm.swappiness";
    a_sysctl_of_files_is_refused: [], "fs.file-max";
    a_network_sysctl_without_a_network_namespace_is_refused: ["network"], "net.ipv4.ip_forward";
    an_ipc_sysctl_without_an_ipc_namespace_is_refused: ["ipc"], "kernel.msgmax";
    a_queue_sysctl_without_an_ipc_namespace_is_refused: ["ipc"], "fs.mqueue.queues_max";
    a_domain_name_sysctl_without_a_uts_namespace_is_refused: ["uts"], "kernel.domainname";
    a_sysctl_that_is_not_there_is_refused: [], "net.ipv4.no_such_thing";
    a_sysctl_that_climbs_is_refused: [], "net/../../kernel/panic";
}

#[test]
fn a_host_name_as_sysctl_is_refused() {
    let mut case = Case::new();
    case.set("/linux/sysctl", json!({ "kernel.hostname": "x" }));
    refused(&case);
}

#[test]
fn a_domain_name_as_sysctl_is_set() {
    let mut case = Case::sh("cat /proc/sys/kernel/domainname");
    case.set("/linux/sysctl", json!({ "kernel.domainname": "by.sysctl" }));
    assert_eq!(case.run().ok(), "by.sysctl");
}

#[test]
fn two_different_domain_names_are_refused() {
    let mut case = Case::new();
    case.set("/domainname", "one").set("/linux/sysctl", json!({ "kernel.domainname": "two" }));
    refused(&case);
}
