//! `features`: what this runtime knows, for callers that ask before they use it (features.md of the runtime specification).

use crate::oci::{
    call::Call,
    command::{Command, Count, PLAIN},
    global::{VERSION, show},
    words::{Order, Words},
};
use sampan_types::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use std::process::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "features",
    summary: "show what this runtime knows",
    operands: "",
    count: Count::Exactly(0),
    about: "Shows, as JSON, the parts of the runtime specification that this runtime follows.\n",
    flags: &[],
    order: Order::Anywhere,
    failure: PLAIN,
    enters: false,
    run,
};

const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Options of mounts; each is also known in its negated and recursive forms that follow.
const MOUNT_OPTIONS: &str = "\
    acl async atime bind copy-symlink defaults dest-nofollow dev diratime dirsync exec idmap iversion lazytime loud mand noacl noatime \
    nodev nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev \
    rdiratime relatime remount rexec ridmap rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro \
    rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave src-nofollow \
    strictatime suid symfollow sync tmpcopyup unbindable";

const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];

const ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

const OPERATORS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

const ARCHITECTURES: [&str; 5] =
    ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"];

const FILTER_FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

fn run(_: &Call, _: &Words) -> Result<ExitCode> {
    let text = serde_json::to_string_pretty(&document())
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot write the features").because(error))?;
    show(&(text + "\n"));
    Ok(ExitCode::SUCCESS)
}

fn document() -> Value {
    let enabled = json!({ "enabled": true });
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": sampan_types::spec::VERSION,
        "hooks": HOOKS,
        "mountOptions": MOUNT_OPTIONS.split_ascii_whitespace().collect::<Vec<_>>(),
        "linux": {
            "namespaces": NAMESPACES,
            "capabilities": sampan_runtime::CAPABILITIES.map(|name| format!("CAP_{name}")).to_vec(),
            "cgroup": { "v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true },
            "seccomp": {
                "enabled": true,
                "actions": ACTIONS,
                "operators": OPERATORS,
                "archs": ARCHITECTURES,
                "knownFlags": FILTER_FLAGS,
                "supportedFlags": FILTER_FLAGS,
            },
            "apparmor": enabled,
            "selinux": enabled,
            "intelRdt": { "enabled": true, "schemata": true, "monitoring": true },
            "memoryPolicy": {
                "modes": [
                    "MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED",
                    "MPOL_PREFERRED_MANY", "MPOL_LOCAL",
                ],
                "flags": ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"],
            },
            "mountExtensions": { "idmap": enabled },
            "netDevices": enabled,
        },
        "annotations": { "org.sampan.version": VERSION },
        "potentiallyUnsafeConfigAnnotations": ["org.systemd.property.", "org.criu.config"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_null_and_lists_have_no_doubles() {
        fn check(path: &str, value: &Value) {
            match value {
                Value::Null => panic!("{path} is null"),
                Value::Array(list) => {
                    let mut seen = std::collections::BTreeSet::new();
                    list.iter()
                        .for_each(|item| assert!(seen.insert(item.to_string()), "{path} has {item} twice"));
                    assert!(!list.is_empty(), "{path} is empty");
                }
                Value::Object(map) => {
                    map.iter().for_each(|(key, value)| check(&format!("{path}/{key}"), value))
                }
                _ => {}
            }
        }
        check("", &document());
        assert_eq!(document()["linux"]["capabilities"][40], "CAP_CHECKPOINT_RESTORE");
    }
}
