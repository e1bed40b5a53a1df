//! Namespaces: new ones, those of others by path, and the caller's.

mod clocks;
mod devices;
mod sysctls;

use crate::support::{Case, Said, json, within};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A kind's name in the configuration, and in /proc/PID/ns.
const KINDS: [(&str, &str); 8] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mount", "mnt"),
    ("cgroup", "cgroup"),
    ("user", "user"),
    ("time", "time"),
];

fn link(pid: &str, name: &str) -> String {
    std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap().display().to_string()
}

/// A process in namespaces of its own, which ends with the case.
struct Holder {
    child: Child,
    pid: u32,
}

impl Holder {
    /// In new namespaces of these kinds, as unshare(1) names them.
    #[track_caller]
    fn with(options: &[&str]) -> Self {
        let mut child = Command::new("unshare")
            .args(options)
            .args(["sh", "-c", "echo up; exec sleep 1000"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line)
            .unwrap();
        assert_eq!(line, "up\n");
        let mut pid = child.id();
        if options.contains(&"--fork") {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            pid = children.split_whitespace().next().unwrap().parse().unwrap();
        }
        Self { child, pid }
    }

    /// In a new user namespace whose ids are 100000 and the following.
    #[track_caller]
    fn mapped(options: &[&str]) -> Self {
        let holder = Self::with(options);
        for map in ["uid_map", "gid_map"] {
            std::fs::write(format!("/proc/{}/{map}", holder.pid), "0 100000 65536\n").unwrap();
        }
        holder
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/{name}", self.pid))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(self.pid).unwrap()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

macro_rules! new_ones {
    ($($test:ident: $kind:literal;)*) => {
        $(#[test]
        fn $test() {
            let mut case = Case::idle();
            let (kind, name) = KINDS.into_iter().find(|(kind, _)| *kind == $kind).unwrap();
            if kind == "user" {
                case.user_namespace();
            } else {
                case.namespace(kind, None);
            }
            case.detached();
            assert_ne!(link(&case.pid().to_string(), name), link("self", name));
        })*
    };
}

new_ones! {
    a_new_pid_namespace: "pid";
    a_new_network_namespace: "network";
    a_new_ipc_namespace: "ipc";
    a_new_uts_namespace: "uts";
    a_new_mount_namespace: "mount";
    a_new_cgroup_namespace: "cgroup";
    a_new_user_namespace: "user";
    a_new_time_namespace: "time";
}

/// Takes a kind out: the container is in the caller's.
#[track_caller]
fn shared(kind: &str, name: &str) {
    let mut case = Case::idle();
    case.without_namespace(kind);
    match kind {
        "uts" => _ = case.unset("/hostname"),
        // sysfs shows a network namespace to its owner.
        "network" | "ipc" => {}
        _ => {}
    }
    case.detached();
    assert_eq!(link(&case.pid().to_string(), name), link("self", name));
}

#[test]
fn the_callers_pid_namespace() {
    shared("pid", "pid");
}

#[test]
fn the_callers_network_namespace() {
    shared("network", "net");
}

#[test]
fn the_callers_ipc_namespace() {
    shared("ipc", "ipc");
}

#[test]
fn the_callers_uts_namespace() {
    shared("uts", "uts");
}

#[test]
fn the_callers_user_cgroup_and_time_namespaces_unless_asked_for() {
    let mut case = Case::idle();
    case.without_namespace("cgroup");
    case.detached();
    for name in ["user", "cgroup", "time"] {
        assert_eq!(link(&case.pid().to_string(), name), link("self", name), "{name}");
    }
}

/// Joins the namespace of a holder by path.
#[track_caller]
fn joined(kind: &str, name: &str, options: &[&str]) {
    let holder = Holder::with(options);
    let mut case = Case::idle();
    case.namespace(kind, Some(&holder.path(name)));
    case.detached();
    assert_eq!(link(&case.pid().to_string(), name), link(&holder.pid.to_string(), name));
    let seen = case.exec(&["readlink", &format!("/proc/self/ns/{name}")]).ok();
    assert_eq!(seen, link(&holder.pid.to_string(), name));
}

#[test]
fn a_network_namespace_by_path() {
    joined("network", "net", &["--net"]);
}

#[test]
fn an_ipc_namespace_by_path() {
    joined("ipc", "ipc", &["--ipc"]);
}

#[test]
fn a_uts_namespace_by_path() {
    joined("uts", "uts", &["--uts"]);
}

#[test]
fn a_cgroup_namespace_by_path() {
    joined("cgroup", "cgroup", &["--cgroup"]);
}

#[test]
fn a_time_namespace_by_path() {
    joined("time", "time", &["--time", "--fork"]);
}

#[test]
fn a_pid_namespace_by_path() {
    joined("pid", "pid", &["--pid", "--fork"]);
}

#[test]
fn a_mount_namespace_by_path() {
    let holder = Holder::with(&["--mount"]);
    let mut case = Case::idle();
    case.namespace("mount", Some(&holder.path("mnt")));
    case.detached();
    assert_eq!(link(&case.pid().to_string(), "mnt"), link(&holder.pid.to_string(), "mnt"));
}

#[test]
fn a_user_namespace_by_path_with_its_maps() {
    let holder = Holder::mapped(&["--user"]);
    let mut case = Case::sh("cat /proc/self/uid_map; id -u");
    case.user_namespace();
    case.unset("/linux/uidMappings").unset("/linux/gidMappings");
    case.namespace("user", Some(&holder.path("user")));
    let said = case.run().ok();
    let words: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(words, ["0", "100000", "65536", "0"], "{said}");
}

#[test]
fn a_user_namespace_and_one_that_it_owns_by_path() {
    let holder = Holder::mapped(&["--user", "--net"]);
    let mut case = Case::idle();
    case.user_namespace();
    case.unset("/linux/uidMappings").unset("/linux/gidMappings");
    // The order of the list must not matter.
    case.namespace("network", Some(&holder.path("net")));
    case.namespace("user", Some(&holder.path("user")));
    case.detached();
    for name in ["net", "user"] {
        assert_eq!(link(&case.pid().to_string(), name), link(&holder.pid.to_string(), name));
    }
}

#[test]
fn a_namespace_bound_to_a_file() {
    let case_holder = Holder::with(&["--net"]);
    let mut case = Case::idle();
    let place = case.base().join("netns");
    std::fs::write(&place, "").unwrap();
    let bound =
        Command::new("mount").arg("--bind").arg(case_holder.path("net")).arg(&place).status().unwrap();
    assert!(bound.success());
    case.namespace("network", Some(&place));
    case.detached();
    let same = link(&case.pid().to_string(), "net") == link(&case_holder.pid.to_string(), "net");
    case.delete_force().code(0);
    Command::new("umount").arg(&place).status().unwrap();
    assert!(same);
}

#[track_caller]
fn refused(case: &Case) -> Said {
    let said = case.create().failed();
    case.nothing_left();
    said
}

#[test]
fn a_path_of_another_kind_is_refused() {
    for (kind, name) in
        [("network", "uts"), ("ipc", "net"), ("uts", "ipc"), ("pid", "net"), ("cgroup", "pid")]
    {
        let mut case = Case::idle();
        case.namespace(kind, Some(&PathBuf::from(format!("/proc/self/ns/{name}"))));
        // `self` is the runtime, which is in the caller's namespaces.
        refused(&case);
    }
}

#[test]
fn a_path_that_is_no_namespace_is_refused() {
    for path in ["/etc/passwd", "/dev/null", "/proc/self/status"] {
        let mut case = Case::idle();
        case.namespace("network", Some(&PathBuf::from(path)));
        refused(&case);
    }
}

#[test]
fn a_path_that_is_not_there_is_refused_and_named() {
    let mut case = Case::idle();
    case.namespace("network", Some(&PathBuf::from("/no/such/namespace")));
    let said = refused(&case);
    assert!(said.err.contains("/no/such/namespace"), "{said}");
}

#[test]
fn a_kind_that_stands_twice_is_refused() {
    let mut case = Case::idle();
    case.set("/linux/namespaces/-", json!({ "type": "ipc" }));
    case.set("/linux/namespaces/-", json!({ "type": "ipc" }));
    refused(&case);
}

#[test]
fn an_unknown_kind_is_refused() {
    let mut case = Case::idle();
    case.set("/linux/namespaces/-", json!({ "type": "nosuch" }));
    refused(&case);
}

#[test]
fn the_domain_name_is_set() {
    let mut case = Case::sh("cat /proc/sys/kernel/domainname");
    case.set("/domainname", "example.test");
    assert_eq!(case.run().ok(), "example.test");
}

#[test]
fn a_domain_name_without_a_namespace_for_it_is_refused() {
    let mut case = Case::new();
    case.without_namespace("uts").unset("/hostname").set("/domainname", "example.test");
    refused(&case);
}

#[test]
fn a_joined_uts_namespace_takes_the_host_name() {
    let holder = Holder::with(&["--uts"]);
    let mut case = Case::sh("hostname");
    case.namespace("uts", Some(&holder.path("uts"))).set("/hostname", "joined");
    assert_eq!(case.run().ok(), "joined");
}

#[test]
fn the_loopback_of_a_new_network_namespace_is_up() {
    let flags = Case::sh("cat /sys/class/net/lo/flags").run().ok();
    assert_eq!(i64::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap() & 1, 1, "{flags}");
}

#[test]
fn a_cgroup_namespace_hides_the_path_above() {
    let mut case = Case::sh("cut -d: -f3 /proc/self/cgroup | sort -u");
    case.namespace("cgroup", None);
    assert_eq!(case.run().ok(), "/");
}

#[test]
fn maps_may_have_several_ranges() {
    let mut case = Case::sh("cat /proc/self/uid_map /proc/self/gid_map");
    case.user_namespace();
    let ranges = json!([{ "containerID": 0, "hostID": 100_000, "size": 1000 }, { "containerID": 1000, "hostID": 300_000, "size": 10 }]);
    case.set("/linux/uidMappings", ranges.clone()).set("/linux/gidMappings", ranges);
    let said = case.run().ok();
    let words: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(words[..6], ["0", "100000", "1000", "1000", "300000", "10"], "{said}");
    assert_eq!(words[6..], words[..6]);
}

#[test]
fn a_user_namespace_without_maps_is_refused() {
    let mut case = Case::new();
    case.namespace("user", None);
    refused(&case);
}

#[test]
fn maps_that_overlap_are_refused() {
    let mut case = Case::new();
    case.user_namespace();
    let ranges = json!([{ "containerID": 0, "hostID": 100_000, "size": 1000 }, { "containerID": 500, "hostID": 300_000, "size": 10 }]);
    case.set("/linux/uidMappings", ranges);
    refused(&case);
}

#[test]
fn files_of_the_root_belong_to_its_root_in_a_user_namespace() {
    let mut case = Case::sh("stat -c %u:%g /etc/passwd; touch /made; stat -c %u /made");
    case.user_namespace();
    assert_eq!(case.run().ok(), "0:0\n0");
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!(std::fs::metadata(case.rootfs("made")).unwrap().uid(), 100_000);
}

#[test]
fn the_root_of_a_user_namespace_has_no_rights_over_the_host() {
    let mut case = Case::sh("cat /host/secret || echo denied");
    case.user_namespace();
    let folder = case.base().join("folder");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("secret"), "secret").unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder.join("secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let source = case.path("folder");
    case.mount("/host", "bind", &source, &["rbind"]);
    assert_eq!(case.run().ok(), "denied");
}

#[test]
fn a_container_in_the_pid_namespace_of_another_sees_its_processes() {
    let first = Case::idle();
    first.detached();
    let mut second = Case::sh("ls /proc | grep -c '^[0-9]'");
    second.namespace("pid", Some(&PathBuf::from(format!("/proc/{}/ns/pid", first.pid()))));
    let seen: u32 = second.run().ok().parse().unwrap();
    assert!(seen >= 3, "{seen}");
}

#[test]
fn a_killed_first_process_takes_those_of_its_pid_namespace_along() {
    let case = Case::sh("sleep 993 & echo up > /up; wait");
    case.detached();
    case.appears("up");
    case.kill("KILL").code(0);
    case.becomes("stopped");
    within(10, "all are gone", || {
        case.cgroup_file("pids", "cgroup.procs").is_none_or(|procs| procs.is_empty()).then_some(())
    });
}
