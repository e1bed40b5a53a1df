use super::*;

/// One document with a field from every corner, as a caller would write it.
const DOCUMENT: &str = r#"{
  "ociVersion": "1.3.0", "hostname": "h", "future": {"x": 1},
  "root": {"path": "rootfs", "readonly": true},
  "mounts": [{"destination": "/data", "type": "none", "source": "d", "options": ["rbind", "idmap"],
    "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}]}],
  "process": {"terminal": true, "consoleSize": {"height": 24, "width": 80}, "user": {"uid": 1, "additionalGids": [5]},
    "args": ["sh"], "cwd": "/", "noNewPrivileges": true, "oomScoreAdj": -5, "capabilities": {"bounding": ["CAP_NEW"]},
    "rlimits": [{"type": "RLIMIT_CORE", "hard": 18446744073709551615, "soft": 0}],
    "ioPriority": {"class": "IOPRIO_CLASS_IDLE"}, "execCPUAffinity": {"initial": "0", "final": "0-1"}},
  "hooks": {"createRuntime": [{"path": "/bin/true", "timeout": 3}]},
  "linux": {"cgroupsPath": "/a", "namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}],
    "resources": {"memory": {"limit": -1, "disableOOMKiller": true}, "blockIO": {"throttleReadIOPSDevice": [{"major": 8, "rate": 1}]},
      "devices": [{"allow": false}], "pids": {"limit": 7}, "network": {"classID": 1}},
    "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
      "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]}]},
    "intelRdt": {"closID": "c", "l3CacheSchema": "L3:0=f"}, "timeOffsets": {"monotonic": {"secs": -2}},
    "personality": {"domain": "LINUX32"}, "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"},
    "netDevices": {"eth9": {"name": "e"}}}
}"#;

#[test]
fn reads_what_callers_write_and_writes_it_back() {
    let spec: Spec = serde_json::from_str(DOCUMENT).unwrap();
    let linux = spec.linux.as_ref().unwrap();
    let process = spec.process.as_ref().unwrap();
    assert_eq!(spec.mounts[0].uid_mappings[0].host_id, 1000);
    assert_eq!(process.rlimits[0].hard, u64::MAX);
    assert_eq!(process.exec_cpu_affinity.as_ref().unwrap().last.as_deref(), Some("0-1"));
    assert_eq!(linux.namespaces[1].kind, NamespaceKind::Network);
    let resources = linux.resources.as_ref().unwrap();
    assert_eq!(resources.memory.as_ref().unwrap().disable_oom_killer, Some(true));
    assert_eq!(resources.block_io.as_ref().unwrap().throttle_read_iops_device[0].rate, 1);
    assert_eq!(linux.seccomp.as_ref().unwrap().syscalls[0].args[0].op, Operator::Equal);
    assert_eq!(linux.intel_rdt.as_ref().unwrap().clos_id.as_deref(), Some("c"));
    assert_eq!(linux.time_offsets["monotonic"].secs, -2);

    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<Spec>(&text).unwrap(), spec);
    assert!(!text.contains("null"), "{text}");
}

#[test]
fn an_empty_document_is_legal_and_writes_little() {
    let spec: Spec = serde_json::from_str("{}").unwrap();
    assert_eq!(serde_json::to_string(&spec).unwrap(), r#"{"ociVersion":""}"#);
}

#[test]
fn closed_words_are_closed() {
    let namespace = serde_json::from_str::<Namespace>(r#"{"type": "planet"}"#);
    assert!(namespace.unwrap_err().to_string().contains("unknown variant `planet`"));
}
