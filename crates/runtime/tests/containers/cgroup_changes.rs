//! Control groups of containers that run: updates, groups below, pausing, memory running out, who may be in them.

use crate::{
    Test,
    support::{Fixture, end, group, pipes, shell, wait},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sampan_runtime::{
    Container, ExecOptions,
    cgroup::{Cgroup, CgroupRecord, OomEvent, SubGroups},
};
use sampan_types::{
    ErrorKind,
    spec::{Cpu, DeviceRule, MemoryLimits, Pids, Resources},
};
use std::{
    fs,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

pub(crate) const TESTS: &[Test] = &[
    ("cgroup_update_of_memory_and_swap", memory_and_swap),
    ("cgroup_update_of_the_processor", processor),
    ("cgroup_update_that_fails_changes_nothing", failed_update),
    ("cgroup_update_of_devices", devices),
    ("cgroup_below_for_exec", below),
    ("cgroup_paused_and_killed", paused),
    ("cgroup_left_frozen_is_refused", left_frozen),
    ("cgroup_memory_running_out_is_told", out_of_memory),
    ("cgroup_reopened_by_its_record", reopened),
    ("cgroup_nested_is_removed", nested),
];

fn unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// A file of a container's group, by its name in each version.
fn path(id: &str, controller: &str, file: &str) -> PathBuf {
    let controller = if unified() { "" } else { controller };
    Path::new("/sys/fs/cgroup").join(controller).join(group(id).trim_start_matches('/')).join(file)
}

fn read(id: &str, controller: &str, v1: &str, v2: &str) -> String {
    let file = if unified() { v2 } else { v1 };
    fs::read_to_string(path(id, controller, file)).unwrap().trim().to_owned()
}

fn running(fixture: &Fixture) -> Container {
    let (mut container, _reader) = fixture.create_piped().unwrap();
    container.start().unwrap();
    container
}

fn memory(limit: i64, swap: i64) -> Resources {
    let given = |value| Some(value).filter(|value| *value != 0);
    let memory = MemoryLimits { limit: given(limit), swap: given(swap), ..MemoryLimits::default() };
    Resources { memory: Some(memory), ..Resources::default() }
}

fn memory_and_swap() {
    const MB: i64 = 1 << 20;
    let mut fixture = Fixture::new("sleep 100");
    fixture.linux().resources = Some(memory(32 * MB, 48 * MB));
    let container = running(&fixture);
    let now = || {
        let limit = read(&fixture.id, "memory", "memory.limit_in_bytes", "memory.max");
        let swap = read(&fixture.id, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max");
        (limit, swap)
    };
    let expected =
        |limit: i64, both: i64| (limit.to_string(), if unified() { both - limit } else { both }.to_string());
    assert_eq!(now(), expected(32 * MB, 48 * MB));
    // Larger and smaller, whichever has to be first; and both far from what is in force.
    for (limit, both) in [(64, 96), (128, 256), (16, 24), (24, 24), (16, 512)] {
        container.cgroup().apply(&memory(limit * MB, both * MB)).unwrap();
        assert_eq!(now(), expected(limit * MB, both * MB));
    }
    container.cgroup().apply(&memory(0, 64 * MB)).unwrap();
    assert_eq!(now(), expected(16 * MB, 64 * MB), "swap alone");
    container.cgroup().apply(&memory(-1, 0)).unwrap();
    let (limit, swap) = now();
    match unified() {
        true => assert_eq!((limit.as_str(), swap.as_str()), ("max", "max")),
        false => assert!(limit.len() > 17 && limit == swap, "{limit} {swap}"),
    }
    container.delete().unwrap();
    fixture.assert_nothing_left();
}

fn processor() {
    let mut fixture = Fixture::new("sleep 100");
    let cpu = |cpu: Cpu| Resources { cpu: Some(cpu), ..Resources::default() };
    fixture.linux().resources =
        Some(cpu(Cpu { quota: Some(50_000), period: Some(100_000), ..Cpu::default() }));
    let container = running(&fixture);
    let now = || match unified() {
        true => read(&fixture.id, "cpu", "", "cpu.max"),
        false => {
            let quota = read(&fixture.id, "cpu", "cpu.cfs_quota_us", "");
            let period = read(&fixture.id, "cpu", "cpu.cfs_period_us", "");
            format!("{} {period}", if quota == "-1" { "max" } else { &quota })
        }
    };
    let apply = |values: Cpu| container.cgroup().apply(&cpu(values)).unwrap();
    assert_eq!(now(), "50000 100000");
    apply(Cpu { period: Some(200_000), ..Cpu::default() });
    assert_eq!(now(), "50000 200000", "the period alone");
    apply(Cpu { quota: Some(-1), ..Cpu::default() });
    assert_eq!(now(), "max 200000", "the quota alone");
    apply(Cpu { quota: Some(5_000), period: Some(10_000), burst: Some(4_000), ..Cpu::default() });
    assert_eq!(now(), "5000 10000");
    assert_eq!(read(&fixture.id, "cpu", "cpu.cfs_burst_us", "cpu.max.burst"), "4000");
    // A burst that is above the old quota.
    apply(Cpu { quota: Some(90_000), period: Some(100_000), burst: Some(80_000), ..Cpu::default() });
    assert_eq!(read(&fixture.id, "cpu", "cpu.cfs_burst_us", "cpu.max.burst"), "80000");
    apply(Cpu { shares: Some(512), idle: Some(1), ..Cpu::default() });
    assert_eq!(read(&fixture.id, "cpu", "cpu.idle", "cpu.idle"), "1");
    apply(Cpu { shares: Some(2048), idle: Some(0), cpus: Some("0".into()), ..Cpu::default() });
    assert_eq!(read(&fixture.id, "cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
    if !unified() {
        assert_eq!(read(&fixture.id, "cpu", "cpu.shares", ""), "2048");
    }
    let error =
        container.cgroup().apply(&cpu(Cpu { cpus: Some("7777".into()), ..Cpu::default() })).unwrap_err();
    assert_eq!(error.to_string(), "cannot set cpuset.cpus to \"7777\"");
    container.delete().unwrap();
    fixture.assert_nothing_left();
}

fn failed_update() {
    let mut fixture = Fixture::new("sleep 100");
    fixture.linux().resources =
        Some(Resources { pids: Some(Pids { limit: Some(30) }), ..memory(32 << 20, 0) });
    let container = running(&fixture);
    let bad = Resources {
        pids: Some(Pids { limit: Some(40) }),
        hugepage_limits: vec![sampan_types::spec::HugepageLimit { page_size: "3MB".into(), limit: 1 }],
        ..memory(64 << 20, 0)
    };
    let error = container.cgroup().apply(&bad).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("hugetlb.3MB"), "{error:?}");
    assert_eq!(read(&fixture.id, "pids", "pids.max", "pids.max"), "30");
    assert_eq!(read(&fixture.id, "memory", "memory.limit_in_bytes", "memory.max"), "33554432");
    container.delete().unwrap();
    fixture.assert_nothing_left();
}

fn devices() {
    let script = "while :; do : < /dev/null || exit 9; : > /dev/null || exit 9; done";
    let fixture = Fixture::privileged(script);
    let container = running(&fixture);
    let rule = |allow, minor, access: &str| DeviceRule {
        allow,
        kind: Some("c".into()),
        major: Some(10),
        minor: Some(minor),
        access: Some(access.into()),
    };
    // Without a list the usual devices are allowed, and others are not.
    let opens = |container: &Container| {
        let (reader, stdio) = pipes();
        let script = "[ -e /k ] || mknod /k c 10 229; (: < /k); mknod /m c 1 1 2>/dev/null; (: < /m); true";
        let exec = container.exec(&shell(script), stdio, &ExecOptions::default()).unwrap();
        let text = end(exec.pidfd.as_fd(), reader).text;
        assert!(text.contains("can't open /m: Operation not permitted"), "{text}");
        !text.contains("can't open /k: Operation not permitted")
    };
    assert!(!opens(&container));
    for (list, open) in [
        (vec![rule(true, 229, "rw")], true),
        (vec![rule(true, 200, "rwm")], false),
        (vec![rule(true, 229, "r"), rule(true, 200, "rwm")], true),
        (vec![rule(true, 229, "r"), rule(false, 229, "r")], false),
    ] {
        container.cgroup().apply(&Resources { devices: list.clone(), ..Resources::default() }).unwrap();
        assert_eq!(opens(&container), open, "{list:?}");
    }
    assert!(crate::support::alive(container.pidfd().unwrap()), "it never lost /dev/null");
    let everything = DeviceRule { allow: true, ..DeviceRule::default() };
    container.cgroup().apply(&Resources { devices: vec![everything], ..Resources::default() }).unwrap();
    container
        .cgroup()
        .apply(&Resources { devices: vec![rule(true, 229, "r")], ..Resources::default() })
        .unwrap();
    assert!(opens(&container));
    assert!(crate::support::alive(container.pidfd().unwrap()), "nor on the way back from everything");
    container.delete().unwrap();
    fixture.assert_nothing_left();
}

fn below() {
    let fixture = Fixture::new("sleep 100");
    let container = running(&fixture);
    let membership = |words: &[&str]| {
        let (reader, stdio) = pipes();
        let options = ExecOptions { cgroup: SubGroups::parse(words).unwrap(), ..ExecOptions::default() };
        container
            .exec(&shell("cat /proc/self/cgroup"), stdio, &options)
            .map(|exec| end(exec.pidfd.as_fd(), reader).text)
    };
    let error = membership(&["sub"]).unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("adding pid ") && text.contains("o such file or directory"), "{text}");
    for (directory, _) in container.cgroup().record().directories().iter().map(|own| (&own.1, &own.0)) {
        fs::create_dir(directory.join("sub")).unwrap();
        let inherit = directory.join("sub/cpuset.cpus");
        if inherit.exists() && !unified() {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                fs::write(directory.join("sub").join(file), fs::read(directory.join(file)).unwrap()).unwrap();
            }
        }
    }
    let text = membership(&["sub"]).unwrap();
    assert!(text.lines().all(|line| line.ends_with("/sub")), "{text}");
    assert_eq!(membership(&["../x"]).unwrap_err().to_string(), "bad sub cgroup path: ../x");
    if unified() {
        let error = membership(&["cpu:sub"]).unwrap_err();
        assert_eq!(error.to_string(), "unknown controller cpu in SubCgroupPaths");
    } else {
        let text = membership(&["cpu:sub", "memory:sub"]).unwrap();
        let line = |controller: &str| {
            text.lines().find(|line| line.split(':').nth(1) == Some(controller)).unwrap().to_owned()
        };
        assert!(line("cpu").ends_with("/sub") && line("memory").ends_with("/sub"), "{text}");
        assert!(!line("pids").ends_with("/sub"), "{text}");
        let error = membership(&["nothing:sub"]).unwrap_err();
        assert_eq!(error.to_string(), "unknown controller nothing in SubCgroupPaths");
    }
    container.delete().unwrap();
    fixture.assert_nothing_left();
}

fn paused() {
    let fixture = Fixture::new("(while :; do sleep 100 & done) & while :; do :; done");
    let mut limited = Fixture::new("sleep 100 & sleep 100");
    limited.linux().resources = Some(memory(64 << 20, 0));
    let container = running(&limited);
    let cgroup = container.cgroup();
    assert!(!cgroup.frozen().unwrap());
    cgroup.freeze().unwrap();
    assert!(cgroup.frozen().unwrap());
    cgroup.apply(&memory(48 << 20, 0)).unwrap();
    assert!(cgroup.frozen().unwrap(), "an update leaves it paused");
    cgroup.thaw().unwrap();
    assert!(!cgroup.frozen().unwrap());
    cgroup.freeze().unwrap();
    cgroup.kill_all().unwrap();
    assert_eq!(wait(container.pidfd().unwrap()), 137, "a paused one dies too");
    container.delete().unwrap();
    limited.assert_nothing_left();
    // One that forks without end.
    let mut fixture = fixture;
    fixture.linux().resources =
        Some(Resources { pids: Some(Pids { limit: Some(200) }), ..Resources::default() });
    let container = running(&fixture);
    for _ in 0..5 {
        container.cgroup().freeze().unwrap();
        container.cgroup().thaw().unwrap();
    }
    container.delete().unwrap();
    fixture.assert_nothing_left();
}

fn left_frozen() {
    let fixture = Fixture::new("true");
    let directory = path(&fixture.id, "freezer", "");
    fs::create_dir_all(&directory).unwrap();
    let (file, value) = if unified() { ("cgroup.freeze", "1") } else { ("freezer.state", "FROZEN") };
    fs::write(directory.join(file), value).unwrap();
    let error = fixture.create_piped().map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "container's cgroup unexpectedly frozen");
    assert!(directory.exists(), "what was there is left alone");
    fixture.cgroup().delete().unwrap();
    fixture.assert_nothing_left();
}

fn out_of_memory() {
    let mut fixture = Fixture::new("head -c 100000000 /dev/zero | grep -c x; sleep 100");
    fixture.linux().resources = Some(memory(16 << 20, 16 << 20));
    let (mut container, _reader) = fixture.create_piped().unwrap();
    let mut watch = container.cgroup().oom_watch().unwrap();
    let ready = |watch: &sampan_runtime::cgroup::OomWatch| {
        let second = Timespec { tv_sec: 120, tv_nsec: 0 };
        poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&second)).unwrap() == 1
    };
    container.start().unwrap();
    loop {
        assert!(ready(&watch), "nothing is told");
        match watch.read().unwrap() {
            OomEvent::OutOfMemory => break,
            OomEvent::Nothing => {}
            OomEvent::Ended => panic!("it still runs"),
        }
    }
    container.delete().unwrap();
    loop {
        assert!(ready(&watch), "the end is not told");
        if watch.read().unwrap() == OomEvent::Ended {
            break;
        }
    }
    assert_eq!(fixture.cgroup().oom_watch().unwrap_err().to_string(), "cannot watch for memory running out");
    fixture.assert_nothing_left();
}

fn reopened() {
    let mut fixture = Fixture::new("sleep 100");
    let name = format!("sampan-test-relative-{}", std::process::id());
    fixture.linux().cgroups_path = Some(format!("../../{name}"));
    let container = running(&fixture);
    let text = serde_json::to_string(container.cgroup().record()).unwrap();
    let record: CgroupRecord = serde_json::from_str(&text).unwrap();
    for (controllers, directory) in record.directories() {
        assert!(directory.join("cgroup.procs").exists(), "{controllers}: {}", directory.display());
        let own = directory.parent().unwrap().join("cgroup.procs");
        assert!(unified() || fs::read_to_string(own).unwrap().lines().count() > 0, "below the runtime's own");
    }
    let again = Cgroup::reopen(record).unwrap();
    assert_eq!(again.path(), name);
    assert_eq!(again.pids().unwrap(), [container.pid()]);
    container.delete().unwrap();
    assert!(again.pids().unwrap().is_empty(), "gone is empty");
}

fn nested() {
    let script = "for g in /sys/fs/cgroup /sys/fs/cgroup/*; do [ -e $g/cgroup.procs ] && mkdir -p $g/a/b; done; sleep 100";
    let mut fixture = Fixture::privileged(script);
    fixture.spec.mounts.last_mut().unwrap().options.retain(|option| option != "ro");
    let (mut container, _reader) = fixture.create_piped().unwrap();
    let inner = path(&fixture.id, "pids", "a/b");
    container.start().unwrap();
    while !inner.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    fs::write(inner.join("cgroup.procs"), container.pid().to_string()).unwrap();
    assert!(container.cgroup().pids().unwrap().contains(&container.pid()), "those below count");
    container.delete().unwrap();
    fixture.assert_nothing_left();
}
