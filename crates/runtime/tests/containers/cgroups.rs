//! Control groups: limits, accounting, what the container sees, delegation.

use crate::{
    Test,
    support::{Fixture, HOST_ID, end, mount},
};
use sampan_types::spec::{Cpu, DeviceRule, MemoryLimits, Pids, Resources};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

pub(crate) const TESTS: &[Test] = &[
    ("cgroup_limits_are_applied", limits),
    ("cgroup_of_too_little_memory_kills", out_of_memory),
    ("cgroup_seen_from_inside", seen),
    ("cgroup_delegated", delegated),
    ("cgroup_in_use_is_refused", busy),
    ("cgroup_device_rules", device_rules),
];

fn unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn limits() {
    let mut fixture = Fixture::new("sleep 100");
    fixture.linux().resources = Some(Resources {
        memory: Some(MemoryLimits { limit: Some(64 << 20), ..MemoryLimits::default() }),
        cpu: Some(Cpu { quota: Some(50_000), period: Some(100_000), ..Cpu::default() }),
        pids: Some(Pids { limit: Some(20) }),
        ..Resources::default()
    });
    let (mut container, _reader) = fixture.create_piped().unwrap();
    container.start().unwrap();
    let files: &[(&str, &str, &str)] = match unified() {
        true => &[("", "memory.max", "67108864"), ("", "cpu.max", "50000 100000"), ("", "pids.max", "20")],
        false => &[
            ("memory", "memory.limit_in_bytes", "67108864"),
            ("cpu", "cpu.cfs_quota_us", "50000"),
            ("pids", "pids.max", "20"),
        ],
    };
    let group = crate::support::group(&fixture.id);
    for (controller, file, value) in files {
        let path =
            Path::new("/sys/fs/cgroup").join(controller).join(group.trim_start_matches('/')).join(file);
        assert_eq!(fs::read_to_string(path).unwrap().trim(), *value, "{file}");
    }
    let membership = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
    assert!(membership.lines().all(|line| line.ends_with(&group)), "{membership}");
    assert_eq!(container.cgroup().pids().unwrap(), [container.pid()]);
    let stats = container.cgroup().stats().unwrap();
    assert_eq!((stats.pids.current, stats.pids.limit), (1, 20));
    assert_eq!(stats.memory.usage.limit, 64 << 20);
    assert!(stats.memory.usage.usage > 0 && stats.cpu.usage.total > 0, "{stats:?}");
    assert!(!stats.memory.raw.is_empty(), "{stats:?}");
    assert_eq!(stats.cpuset.cpus.is_empty(), unified(), "handed down only when it is asked for");
    container.delete().unwrap();
    fixture.assert_nothing_left();
}

fn out_of_memory() {
    let mut fixture = Fixture::new("exec head -c 100000000 /dev/zero | exec grep -c x");
    fixture.linux().resources = Some(Resources {
        memory: Some(MemoryLimits { limit: Some(16 << 20), swap: Some(16 << 20), ..MemoryLimits::default() }),
        ..Resources::default()
    });
    let (mut container, reader) = fixture.create_piped().unwrap();
    assert!(!container.cgroup().oom_killed().unwrap());
    container.start().unwrap();
    let ended = end(container.pidfd().unwrap(), reader);
    assert!(container.cgroup().oom_killed().unwrap(), "{ended:?}");
    container.delete().unwrap();
}

fn seen() {
    let mut fixture =
        Fixture::new("cat /proc/self/cgroup; ls /sys/fs/cgroup; ls /sys/fs/cgroup/*/cgroup.procs");
    let ended = fixture.run().unwrap();
    let (own, files): (Vec<_>, Vec<_>) = ended.text.lines().partition(|line| line.ends_with(":/"));
    let host = fs::read_to_string("/proc/self/cgroup").unwrap();
    assert_eq!(own.len(), host.lines().count(), "the root of each: {}", ended.text);
    if unified() {
        assert!(files.contains(&"cgroup.procs"), "{files:?}");
    } else {
        assert_eq!(
            files.iter().filter(|name| name.ends_with("cgroup.procs")).count(),
            host.lines().count(),
            "{files:?}"
        );
    }
    // Without a namespace of its own, the host's mounts with its own group as their root.
    fixture.linux().namespaces.retain(|own| own.kind != sampan_types::spec::NamespaceKind::Cgroup);
    fixture.process().args[2] = "cat /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs".into();
    let ended = fixture.run().unwrap();
    let pids: Vec<_> = ended.text.lines().filter(|line| line.parse::<i32>().is_ok()).collect();
    assert!(!pids.is_empty() && pids.iter().all(|pid| ["1", "2"].contains(pid)), "{}", ended.text);
}

fn delegated() {
    let script = "for g in /sys/fs/cgroup /sys/fs/cgroup/*; do [ -e $g/cgroup.procs ] || continue; \
                  mkdir $g/sub && [ ! -e $g/cpuset.cpus -o -e $g/cgroup.controllers ] || continue; sh -c \"echo 0 > $g/sub/cgroup.procs\" || echo fails $g; done; cat /proc/self/cgroup";
    let mut fixture = Fixture::new(script);
    fixture.options.delegate_cgroup = true;
    *fixture.spec.mounts.last_mut().unwrap() = mount("/sys/fs/cgroup", "cgroup", "nosuid,noexec,nodev");
    let (mut container, reader) = fixture.create_piped().unwrap();
    let group = crate::support::group(&fixture.id);
    let base = Path::new("/sys/fs/cgroup").join(if unified() { "" } else { "systemd" });
    let group = base.join(group.trim_start_matches('/'));
    assert_eq!(fs::metadata(&group).unwrap().uid(), HOST_ID);
    assert_eq!(fs::metadata(group.join("cgroup.procs")).unwrap().uid(), HOST_ID);
    assert_eq!(fs::metadata(group.parent().unwrap()).unwrap().uid(), 0);
    container.start().unwrap();
    let ended = end(container.pidfd().unwrap(), reader);
    assert!(!ended.text.contains("fails"), "{}", ended.text);
    assert!(group.join("sub").exists());
    container.delete().unwrap();
    fixture.assert_nothing_left();
}

fn busy() {
    let fixture = Fixture::new("sleep 100");
    let (container, _reader) = fixture.create_piped().unwrap();
    let error = fixture.create_piped().map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "container's cgroup is not empty");
    assert_eq!(container.cgroup().pids().unwrap(), [container.pid()], "the first one is left alone");
    container.delete().unwrap();
    fixture.assert_nothing_left();
}

fn device_rules() {
    let script = "mknod /k c 10 229; (: < /k); head -c 1 /dev/zero | ls; echo > /dev/null";
    let mut fixture = Fixture::privileged(script);
    fixture.linux().resources =
        Some(Resources { devices: vec![DeviceRule::default()], ..Resources::default() });
    let (mut container, reader) = fixture.create_piped().unwrap();
    // Again, in place of the first.
    container.cgroup().apply(fixture.linux().resources.as_ref().unwrap()).unwrap();
    container.start().unwrap();
    let ended = end(container.pidfd().unwrap(), reader);
    container.delete().unwrap();
    assert!(ended.text.contains("can't open /k: Operation not permitted"), "{}", ended.text);
    assert_eq!(ended.code, 0, "{}", ended.text);
    // The last word allows: it is no rule of the program that was there before.
    let (mut container, reader) = fixture.create_piped().unwrap();
    let all = DeviceRule { allow: true, ..DeviceRule::default() };
    container.cgroup().apply(&Resources { devices: vec![all], ..Resources::default() }).unwrap();
    container.start().unwrap();
    let ended = end(container.pidfd().unwrap(), reader);
    container.delete().unwrap();
    assert!(!ended.text.contains("Operation not permitted"), "{}", ended.text);
}
