//! `spec` and `features`.

use crate::support::{Case, Value};
use std::path::Path;

fn written(case: &Case, words: &[&str], folder: &Path) -> Value {
    let mut command = case.command(words);
    command.current_dir(folder);
    case.end(command).code(0);
    serde_json::from_str(&std::fs::read_to_string(folder.join("config.json")).unwrap()).unwrap()
}

#[test]
fn it_is_written_into_the_working_directory() {
    let case = Case::new();
    let spec = written(&case, &["spec"], &case.bundle());
    assert!(spec["ociVersion"].as_str().unwrap().starts_with("1."));
}

#[test]
fn it_asks_for_a_shell_at_a_terminal() {
    let case = Case::new();
    let spec = written(&case, &["spec"], &case.bundle());
    assert_eq!(spec["process"]["args"], serde_json::json!(["sh"]));
    assert_eq!(spec["process"]["terminal"], true);
    assert_eq!(spec["process"]["cwd"], "/");
}

#[test]
fn its_root_is_read_only() {
    let case = Case::new();
    let spec = written(&case, &["spec"], &case.bundle());
    assert_eq!(spec["root"], serde_json::json!({ "path": "rootfs", "readonly": true }));
}

#[test]
fn it_has_few_capabilities_and_no_new_privileges() {
    let case = Case::new();
    let spec = written(&case, &["spec"], &case.bundle());
    let few = serde_json::json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    for set in ["bounding", "effective", "permitted"] {
        assert_eq!(spec["process"]["capabilities"][set], few, "{set}");
    }
    assert_eq!(spec["process"]["noNewPrivileges"], true);
}

#[test]
fn it_denies_all_devices() {
    let case = Case::new();
    let spec = written(&case, &["spec"], &case.bundle());
    assert_eq!(
        spec["linux"]["resources"]["devices"],
        serde_json::json!([{ "allow": false, "access": "rwm" }])
    );
}

#[test]
fn it_masks_what_leaks() {
    let case = Case::new();
    let spec = written(&case, &["spec"], &case.bundle());
    let masked = spec["linux"]["maskedPaths"].as_array().unwrap();
    for path in ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/scsi"]
    {
        assert!(masked.iter().any(|entry| entry == path), "{path}");
    }
    let read_only = spec["linux"]["readonlyPaths"].as_array().unwrap();
    for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] {
        assert!(read_only.iter().any(|entry| entry == path), "{path}");
    }
}

#[test]
fn it_runs() {
    let case = Case::new();
    let mut spec = written(&case, &["spec"], &case.bundle());
    spec["process"]["terminal"] = false.into();
    spec["process"]["args"] = serde_json::json!(["echo", "it runs"]);
    std::fs::write(case.bundle().join("config.json"), spec.to_string()).unwrap();
    assert_eq!(case.call(&["run", "--bundle", &case.path("bundle"), case.id()]).ok(), "it runs");
}

#[test]
fn it_can_be_written_elsewhere() {
    for flag in ["-b", "--bundle"] {
        let case = Case::new();
        case.call(&["spec", flag, &case.path("bundle")]).code(0);
        assert!(case.bundle().join("config.json").is_file());
    }
}

#[test]
fn what_is_there_is_not_overwritten() {
    let case = Case::new();
    std::fs::write(case.bundle().join("config.json"), "mine").unwrap();
    case.call(&["spec", "--bundle", &case.path("bundle")]).failed().complains("exists");
    assert_eq!(std::fs::read_to_string(case.bundle().join("config.json")).unwrap(), "mine");
}

#[test]
fn a_folder_that_is_not_there_is_refused() {
    Case::new().call(&["spec", "--bundle", "/no/such/folder"]).failed();
}

#[test]
fn the_rootless_one_maps_the_caller() {
    let case = Case::new();
    let spec = written(&case, &["spec", "--rootless"], &case.bundle());
    let one = serde_json::json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
    assert_eq!(spec["linux"]["uidMappings"], one);
    assert_eq!(spec["linux"]["gidMappings"], one);
    let kinds: Vec<&Value> =
        spec["linux"]["namespaces"].as_array().unwrap().iter().map(|one| &one["type"]).collect();
    assert!(
        kinds.iter().any(|kind| **kind == "user") && !kinds.iter().any(|kind| **kind == "network"),
        "{kinds:?}"
    );
}

#[test]
fn the_rootless_one_asks_for_no_resources() {
    let case = Case::new();
    let spec = written(&case, &["spec", "--rootless"], &case.bundle());
    assert!(spec["linux"]["resources"].is_null(), "{spec}");
}

fn features() -> Value {
    let said = Case::new().call(&["features"]).ok();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Whether a list of the features document has a value.
fn has(features: &Value, pointer: &str, value: &str) -> bool {
    let list = features.pointer(pointer).and_then(Value::as_array);
    list.is_some_and(|list| list.iter().any(|one| one == value))
}

#[test]
fn features_name_the_versions_of_the_specification() {
    let features = features();
    for key in ["ociVersionMin", "ociVersionMax"] {
        assert!(features[key].as_str().is_some_and(|version| version.starts_with("1.")), "{key}: {features}");
    }
}

#[test]
fn features_have_no_null() {
    fn check(path: &str, value: &Value) {
        match value {
            Value::Null => panic!("{path} is null"),
            Value::Array(list) => list.iter().for_each(|one| check(path, one)),
            Value::Object(map) => map.iter().for_each(|(key, one)| check(&format!("{path}/{key}"), one)),
            _ => {}
        }
    }
    check("", &features());
}

#[test]
fn features_list_all_hooks() {
    let features = features();
    for hook in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        assert!(has(&features, "/hooks", hook), "{hook}");
    }
}

#[test]
fn features_list_mount_options() {
    let features = features();
    for option in [
        "ro",
        "rw",
        "nosuid",
        "nodev",
        "noexec",
        "bind",
        "rbind",
        "rprivate",
        "rslave",
        "relatime",
        "noatime",
        "strictatime",
        "rro",
        "rnosuid",
        "rnoexec",
        "tmpcopyup",
        "sync",
        "remount",
    ] {
        assert!(has(&features, "/mountOptions", option), "{option}");
    }
}

#[test]
fn features_list_namespaces() {
    let features = features();
    for kind in ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"] {
        assert!(has(&features, "/linux/namespaces", kind), "{kind}");
    }
}

#[test]
fn features_list_capabilities() {
    let features = features();
    for name in ["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_BPF", "CAP_CHECKPOINT_RESTORE"] {
        assert!(has(&features, "/linux/capabilities", name), "{name}");
    }
}

#[test]
fn features_tell_of_control_groups() {
    let features = features();
    for key in ["v1", "v2", "systemd", "systemdUser"] {
        assert_eq!(features["linux"]["cgroup"][key], true, "{key}");
    }
    assert!(features["linux"]["cgroup"]["rdma"].is_boolean());
}

#[test]
fn features_tell_of_seccomp() {
    let features = features();
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    for action in ["ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "LOG", "NOTIFY", "TRACE", "TRAP"]
    {
        assert!(has(&features, "/linux/seccomp/actions", &format!("SCMP_ACT_{action}")), "{action}");
    }
    for operator in ["EQ", "GE", "GT", "LE", "LT", "MASKED_EQ", "NE"] {
        assert!(has(&features, "/linux/seccomp/operators", &format!("SCMP_CMP_{operator}")), "{operator}");
    }
}

#[test]
fn features_list_architectures_of_seccomp() {
    let features = features();
    for arch in ["X86_64", "X86", "X32", "AARCH64"] {
        assert!(has(&features, "/linux/seccomp/archs", &format!("SCMP_ARCH_{arch}")), "{arch}");
    }
}

#[test]
fn features_list_flags_of_seccomp() {
    let features = features();
    for flag in ["LOG", "SPEC_ALLOW", "TSYNC", "WAIT_KILLABLE_RECV"] {
        assert!(
            has(&features, "/linux/seccomp/knownFlags", &format!("SECCOMP_FILTER_FLAG_{flag}")),
            "{flag}"
        );
    }
}

#[test]
fn features_tell_of_security_modules_and_id_mapped_mounts() {
    let features = features();
    assert!(features["linux"]["apparmor"]["enabled"].is_boolean());
    assert!(features["linux"]["selinux"]["enabled"].is_boolean());
    assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true);
}

#[test]
fn features_tell_of_rdt() {
    let features = features();
    assert!(features["linux"]["intelRdt"]["enabled"].is_boolean(), "{features}");
}

#[test]
fn features_tell_of_net_devices() {
    let features = features();
    assert_eq!(features["linux"]["netDevices"]["enabled"], true, "{features}");
}

#[test]
fn features_tell_of_memory_policies() {
    let features = features();
    assert!(has(&features, "/linux/memoryPolicy/modes", "MPOL_BIND"), "{features}");
    assert!(has(&features, "/linux/memoryPolicy/flags", "MPOL_F_STATIC_NODES"), "{features}");
}

#[test]
fn features_name_annotations_that_may_be_unsafe() {
    let features = features();
    assert!(features["potentiallyUnsafeConfigAnnotations"].is_array(), "{features}");
}

#[test]
fn features_list_options_of_id_mapped_mounts() {
    let features = features();
    for option in ["idmap", "ridmap"] {
        assert!(has(&features, "/mountOptions", option), "{option}");
    }
}
