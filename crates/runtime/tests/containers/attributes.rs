//! What a process is given beside its rights: when and where it runs, its limits, its clocks, its devices.

use crate::{
    Test,
    execs::{run, running},
    support::{Fixture, end, shell},
};
use sampan_types::spec::{
    ExecCpuAffinity, IoPriority, MemoryPolicy, Namespace, NamespaceKind, NetDevice, Personality, Rlimit,
    Scheduler, TimeOffset,
};
use std::{fs, process::Command};

pub(crate) const TESTS: &[Test] = &[
    ("attribute_scheduler_and_io_priority", scheduling),
    ("attribute_processors", processors),
    ("attribute_memory_policy", memory_policy),
    ("attribute_personality", personality),
    ("attribute_limits_come_last", limits),
    ("attribute_clocks", clocks),
    ("attribute_network_devices", network_devices),
    ("attribute_session_keyring", keyring),
    ("attribute_environment", environment),
];

fn scheduling() {
    let mut fixture = Fixture::new("sleep 100");
    let scheduler = |policy: &str, nice| Scheduler { policy: policy.into(), nice, ..Scheduler::default() };
    fixture.process().scheduler = Some(scheduler("SCHED_BATCH", 5));
    fixture.process().io_priority = Some(IoPriority { class: "IOPRIO_CLASS_IDLE".into(), priority: 0 });
    let container = running(&fixture);
    let fields = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
        (fields[16].to_owned(), fields[38].to_owned())
    };
    assert_eq!(fields(container.pid()), ("5".into(), "3".into()));
    let ionice = Command::new("ionice").args(["-p", &container.pid().to_string()]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ionice.stdout).trim(), "idle");
    // Others in the container have what it has, unless they say otherwise. `cat` stands for its own process.
    let mut process = shell("cat /proc/self/stat");
    assert_eq!(run(&container, &process).unwrap().text.split(' ').nth(40), Some("3"));
    process.scheduler = Some(scheduler("SCHED_IDLE", 0));
    assert_eq!(run(&container, &process).unwrap().text.split(' ').nth(40), Some("5"));
    container.delete().unwrap();
    // A right of the host's, which its user namespace does not have.
    fixture.process().scheduler = Some(scheduler("SCHED_OTHER", -5));
    let container = running(&fixture);
    assert_eq!(fields(container.pid()).0, "-5");
    container.delete().unwrap();
}

fn processors() {
    // Whatever the caller is bound to, the container has all.
    sampan_sys::scheduling::set_processors(0, &[1]).unwrap();
    let fixture = Fixture::new("grep Cpus_allowed: /proc/self/status; sleep 100");
    let container = running(&fixture);
    let all = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap().to_owned()
    };
    let wide = all("1");
    assert_eq!(all("self"), "Cpus_allowed_list:\t0");
    assert_eq!(all(&container.pid().to_string()), wide);
    let mut process = shell("grep Cpus_allowed_list /proc/self/status");
    assert_eq!(run(&container, &process).unwrap().text.trim(), wide);
    let affinity = |initial: &str, last: &str| ExecCpuAffinity {
        initial: Some(initial.into()),
        last: Some(last.into()),
    };
    process.exec_cpu_affinity = Some(affinity("", "0"));
    assert_eq!(run(&container, &process).unwrap().text, "Cpus_allowed_list:\t0\n");
    process.exec_cpu_affinity = Some(affinity("0", ""));
    assert_eq!(run(&container, &process).unwrap().text, "Cpus_allowed_list:\t0\n");
    process.exec_cpu_affinity = Some(affinity("", "8000"));
    let error = run(&container, &process).unwrap_err();
    assert_eq!(error.to_string(), "cannot set execCPUAffinity.final");
    container.delete().unwrap();
    sampan_sys::scheduling::set_processors(0, &[u64::MAX; 128]).unwrap();
}

fn memory_policy() {
    let mut fixture = Fixture::new("grep -c interleave:0 /proc/self/numa_maps; sleep 100");
    let policy = |mode: &str, nodes: &str| MemoryPolicy {
        mode: mode.into(),
        nodes: nodes.into(),
        ..MemoryPolicy::default()
    };
    fixture.linux().memory_policy = Some(policy("MPOL_INTERLEAVE", "0"));
    let container = running(&fixture);
    let ended = run(&container, &shell("grep -c interleave:0 /proc/self/numa_maps")).unwrap();
    assert!(ended.text.trim().parse::<u32>().unwrap() > 0, "{}", ended.text);
    container.delete().unwrap();
    fixture.linux().memory_policy = Some(policy("MPOL_INTERLEAVE", ""));
    let error = fixture.run().unwrap_err();
    assert_eq!(error.to_string(), "cannot set the memory policy");
    fixture.assert_nothing_left();
}

fn personality() {
    let mut fixture = Fixture::new("busybox uname -m; sleep 100");
    fixture.linux().personality = Some(Personality { domain: "LINUX32".into(), ..Personality::default() });
    let container = running(&fixture);
    assert_eq!(
        run(&container, &shell("cat /proc/self/personality; busybox uname -m")).unwrap().text,
        "00000008\ni686\n"
    );
    container.delete().unwrap();
}

fn limits() {
    let limit = |kind: &str, value| Rlimit { kind: kind.into(), soft: value, hard: value };
    for gate in [false, true] {
        let mut fixture = Fixture::new("ulimit -n; ulimit -v; ulimit -u");
        fixture.process().user.uid = 1000;
        if gate {
            fixture.options.gate = Some(fixture.path("gate"));
        }
        // Each of them would keep the runtime from its work.
        fixture.process().rlimits =
            vec![limit("RLIMIT_NOFILE", 3), limit("RLIMIT_AS", 8 << 20), limit("RLIMIT_NPROC", 0)];
        let ended = fixture.run().unwrap();
        assert_eq!(ended.text, "3\n8192\n0\n");
    }
    // Also where the user may not be changed from outside, and for processes that say nothing of their own.
    let mut fixture = Fixture::privileged("sleep 100");
    fixture.process().user.uid = 1000;
    fixture.process().rlimits = vec![limit("RLIMIT_NOFILE", 77)];
    let container = running(&fixture);
    assert_eq!(run(&container, &shell("ulimit -Hn")).unwrap().text, "77\n");
    container.delete().unwrap();
}

fn clocks() {
    let mut fixture = Fixture::new("cat /proc/uptime; cat /proc/self/timens_offsets");
    let kind = NamespaceKind::Time;
    fixture.linux().namespaces.push(Namespace { kind, path: None });
    fixture.linux().time_offsets = [("boottime", 1_000_000), ("monotonic", 7)]
        .map(|(clock, secs)| (clock.to_owned(), TimeOffset { secs, nanosecs: 5 }))
        .into();
    let (mut container, reader) = fixture.create_piped().unwrap();
    let exec = run(&container, &shell("cat /proc/uptime")).unwrap();
    container.start().unwrap();
    let ended = end(container.pidfd().unwrap(), reader);
    container.delete().unwrap();
    for text in [&exec.text, &ended.text] {
        let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
        assert!(uptime > 1_000_000.0, "{text}");
    }
    assert!(ended.text.contains("monotonic           7         5"), "{}", ended.text);
    fixture.linux().namespaces.pop();
    let error = fixture.run().unwrap_err();
    assert_eq!(error.causes(), ["the container has no time namespace of its own"]);
}

fn network_devices() {
    // In a process of its own, in a network namespace of its own.
    let child = sampan_sys::clone::clone(rustix::thread::UnshareFlags::empty(), None, || {
        sampan_sys::netns::unshare().unwrap();
        let ip = |words: &str| assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success());
        ip("link add sx0 type veth peer name sx1");
        ip("addr add 10.9.8.7/24 dev sx0");
        let mut fixture = Fixture::new("busybox ip addr show inner");
        let device = NetDevice { name: Some("inner".into()) };
        fixture.linux().net_devices = [("sx0".to_owned(), device)].into();
        let ended = fixture.run().unwrap();
        assert!(ended.text.contains("inet 10.9.8.7/24 scope global inner"), "{}", ended.text);
        let error = fixture.run().unwrap_err();
        assert_eq!(error.to_string(), "cannot move network device \"sx0\" into the container");
        fixture.assert_nothing_left();
        0
    })
    .unwrap();
    use std::os::fd::AsFd;
    assert_eq!(crate::support::wait(child.pidfd.as_fd()), 0);
}

fn keyring() {
    for (no_new_keyring, own) in [(false, true), (true, false)] {
        let mut fixture = Fixture::new("cat /proc/keys; sleep 100");
        fixture.linux().masked_paths.clear();
        fixture.options.no_new_keyring = no_new_keyring;
        let container = running(&fixture);
        let keys = run(&container, &shell("cat /proc/keys")).unwrap().text;
        let name = format!("_ses.{}", fixture.id);
        // One without users only waits to be collected.
        let used = |line: &&str| line.contains(&name) && line.split_ascii_whitespace().nth(2) != Some("0");
        let rings: Vec<_> = keys.lines().filter(used).collect();
        assert_eq!(rings.len(), usize::from(own), "one for all of its processes: {keys}");
        container.delete().unwrap();
    }
}

fn environment() {
    let mut fixture = Fixture::new("busybox env");
    fixture.process().env = ["PATH=/bin", "A=1", "HOME=", "A=2\n3"].map(str::to_owned).to_vec();
    let ended = fixture.run().unwrap();
    let mut lines: Vec<_> =
        ended.text.lines().filter(|line| !line.starts_with("PWD") && !line.starts_with("SHLVL")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["3", "A=2", "HOME=/root", "PATH=/bin"]);
    fixture.process().user.uid = 4711;
    fixture.process().args[2] = "echo $HOME".into();
    assert_eq!(fixture.run().unwrap().text, "/\n");
    fixture.process().env.push("B".into());
    let error = fixture.run().unwrap_err();
    assert_eq!(error.to_string(), "invalid environment variable \"B\"");
}
