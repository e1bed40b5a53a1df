//! Namespaces: new ones, those of others by path, and the caller's.

use crate::support::{Case, Said, json, skip, within};
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

fn time_case(script: &str) -> Case {
    let mut case = Case::sh(script);
    case.namespace("time", None);
    case
}

#[test]
fn offsets_of_clocks_are_set() {
    let mut case = time_case("cat /proc/self/timens_offsets");
    case.set("/linux/timeOffsets", json!({ "monotonic": { "secs": 7881, "nanosecs": 2_718_281 }, "boottime": { "secs": 1337, "nanosecs": 3_141_519 } }));
    let said = case.run().ok();
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines, [["monotonic", "7881", "2718281"], ["boottime", "1337", "3141519"]]);
}

#[test]
fn an_offset_moves_the_time_since_boot() {
    let uptime = || -> f64 {
        std::fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap()
    };
    let mut case = time_case("cut -d' ' -f1 /proc/uptime");
    case.set("/linux/timeOffsets", json!({ "boottime": { "secs": 1_000_000 } }));
    let inside: f64 = case.run().ok().parse().unwrap();
    assert!((inside - uptime() - 1_000_000.0).abs() < 60.0, "{inside}");
}

#[test]
fn a_negative_offset_is_fine() {
    let mut case = time_case("head -1 /proc/self/timens_offsets");
    case.set("/linux/timeOffsets", json!({ "monotonic": { "secs": -10 } }));
    assert!(case.run().ok().contains("-10"));
}

#[test]
fn offsets_hold_in_exec() {
    let mut case = Case::idle();
    case.namespace("time", None).set("/linux/timeOffsets", json!({ "boottime": { "secs": 5000 } }));
    case.detached();
    let said = case.exec(&["cat", "/proc/self/timens_offsets"]).ok();
    assert!(said.contains("5000"), "{said}");
}

#[test]
fn offsets_without_a_time_namespace_are_refused() {
    let mut case = Case::new();
    case.set("/linux/timeOffsets", json!({ "boottime": { "secs": 5000 } }));
    refused(&case);
}

#[test]
fn an_offset_of_an_unknown_clock_is_refused() {
    let mut case = time_case("true");
    case.set("/linux/timeOffsets", json!({ "realtime": { "secs": 5000 } }));
    refused(&case);
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

#[test]
fn a_network_device_moves_into_the_container() {
    let Some(host) = Netns::new() else { skip!("no dummy device can be made here") };
    let mut case = Case::sh("ip -o link show eth7; ip -o addr show eth7");
    case.set("/linux/netDevices", json!({ "dummy7": { "name": "eth7" } }));
    host.ip(&["link", "add", "dummy7", "mtu", "1400", "type", "dummy"]);
    host.ip(&["addr", "add", "10.99.7.1/24", "dev", "dummy7"]);
    host.ip(&["link", "set", "dummy7", "up"]);
    let said = case.end(host.inside(&case.bundled("run", &[]))).ok();
    assert!(said.contains("eth7") && said.contains("mtu 1400") && said.contains("10.99.7.1/24"), "{said}");
}

#[test]
fn a_network_device_keeps_its_name_unless_given_another() {
    let Some(host) = Netns::new() else { skip!("no dummy device can be made here") };
    let mut case = Case::sh("ip -o link show dummy8");
    case.set("/linux/netDevices", json!({ "dummy8": {} }));
    host.ip(&["link", "add", "dummy8", "type", "dummy"]);
    let said = case.end(host.inside(&case.bundled("run", &[]))).ok();
    assert!(said.contains("dummy8"), "{said}");
}

#[test]
fn a_network_device_that_is_not_there_is_refused() {
    let Some(host) = Netns::new() else { skip!("no dummy device can be made here") };
    let mut case = Case::new();
    case.set("/linux/netDevices", json!({ "nosuch": {} }));
    case.end(host.inside(&case.bundled("run", &[]))).failed().complains("nosuch");
    case.nothing_left();
}

#[test]
fn a_network_device_with_an_invalid_name_is_refused() {
    let Some(host) = Netns::new() else { skip!("no dummy device can be made here") };
    for name in ["a/b", "a b", "name-longer-than-15", "."] {
        let mut case = Case::new();
        host.ip(&["link", "add", "dummy9", "type", "dummy"]);
        case.set("/linux/netDevices", json!({ "dummy9": { "name": name } }));
        case.end(host.inside(&case.bundled("run", &[]))).failed();
        case.nothing_left();
        host.ip(&["link", "del", "dummy9"]);
    }
}

#[test]
fn a_network_device_without_a_network_namespace_is_refused() {
    let Some(host) = Netns::new() else { skip!("no dummy device can be made here") };
    let mut case = Case::new();
    host.ip(&["link", "add", "dummy6", "type", "dummy"]);
    case.without_namespace("network").set("/linux/netDevices", json!({ "dummy6": {} }));
    case.end(host.inside(&case.bundled("run", &[]))).failed();
    case.nothing_left();
}

/// A network namespace that stands for the host's: its devices are this test's own.
struct Netns {
    holder: Holder,
}

impl Netns {
    /// Nothing where the kernel cannot make a dummy device.
    fn new() -> Option<Self> {
        let own = Self { holder: Holder::with(&["--net"]) };
        let made = own.try_ip(&["link", "add", "probe", "type", "dummy"]);
        own.try_ip(&["link", "del", "probe"]);
        made.then_some(own)
    }

    fn try_ip(&self, words: &[&str]) -> bool {
        let pid = self.holder.pid.to_string();
        Command::new("nsenter")
            .args(["--net", "--target", &pid, "ip"])
            .args(words)
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    #[track_caller]
    fn ip(&self, words: &[&str]) {
        assert!(self.try_ip(words), "ip {}", words.join(" "));
    }

    /// The command, started in the namespace.
    fn inside(&self, command: &Command) -> Command {
        let mut outer = Command::new("nsenter");
        outer
            .args(["--net", "--target", &self.holder.pid.to_string()])
            .arg(command.get_program())
            .args(command.get_args());
        outer.stdin(Stdio::null());
        outer
    }
}
