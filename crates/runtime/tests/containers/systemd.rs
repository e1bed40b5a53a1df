//! Control groups that systemd makes. Where it is not PID 1, there is nothing to ask: these run in the VM lane.

use crate::{
    Test,
    support::{Fixture, alive, end, pipes, shell},
};
use sampan_runtime::{
    Container, ExecOptions,
    cgroup::{Cgroup, CgroupDriver, SubGroups},
};
use sampan_types::spec::{Cpu, DeviceRule, MemoryLimits, Pids, Resources};
use std::{fs, os::fd::AsFd, path::Path, process::Command};

pub(crate) const TESTS: &[Test] = &[
    ("systemd_scope_from_start_to_end", scope),
    ("systemd_scope_keeps_limits_over_a_reload", reload),
    ("systemd_properties_from_annotations", annotations),
    ("systemd_failures_leave_no_unit", failures),
    ("systemd_absent_is_told", absent),
];

fn present() -> bool {
    let present = Path::new("/run/systemd/system").exists();
    if !present {
        println!("skipped here: systemd is not PID 1");
    }
    present
}

fn fixture(script: &str) -> Fixture {
    let mut fixture = Fixture::new(script);
    let path = format!("sampantest.slice:sampan:{}", fixture.id);
    fixture.linux().cgroups_path = Some(path);
    fixture.options.cgroup = CgroupDriver::Systemd;
    fixture
}

fn unit(fixture: &Fixture) -> String {
    format!("sampan-{}.scope", fixture.id)
}

fn show(unit: &str, property: &str) -> String {
    let output = Command::new("systemctl").args(["show", "--value", "-p", property, unit]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn running(fixture: &Fixture) -> Container {
    let (mut container, _reader) = fixture.create_piped().unwrap();
    container.start().unwrap();
    container
}

fn resources() -> Resources {
    Resources {
        memory: Some(MemoryLimits { limit: Some(64 << 20), ..MemoryLimits::default() }),
        cpu: Some(Cpu { shares: Some(512), quota: Some(50_000), period: Some(100_000), ..Cpu::default() }),
        pids: Some(Pids { limit: Some(20) }),
        ..Resources::default()
    }
}

fn scope() {
    if !present() {
        return;
    }
    let mut fixture = fixture("sleep 100");
    fixture.linux().resources = Some(resources());
    let container = running(&fixture);
    let unit = unit(&fixture);
    let path = format!("/sampantest.slice/{unit}");
    assert_eq!(container.cgroup().path(), path);
    for (property, value) in [
        ("ActiveState", "active"),
        ("Delegate", "yes"),
        ("Slice", "sampantest.slice"),
        ("MemoryMax", "67108864"),
        ("TasksMax", "20"),
        ("CPUQuotaPerSecUSec", "500ms"),
        ("ControlGroup", path.as_str()),
    ] {
        assert_eq!(show(&unit, property), value, "{property}");
    }
    let membership = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).unwrap();
    assert!(membership.lines().all(|line| line.ends_with(&path)), "{membership}");
    assert_eq!(container.cgroup().pids().unwrap(), [container.pid()], "who was there before has gone");
    // An update reaches the unit and the files.
    let update = Resources { pids: Some(Pids { limit: Some(33) }), ..Resources::default() };
    container.cgroup().apply(&update).unwrap();
    assert_eq!(show(&unit, "TasksMax"), "33");
    assert_eq!(show(&unit, "MemoryMax"), "67108864", "what is not given stays");
    // From its record, as another process would.
    let again = Cgroup::reopen(container.cgroup().record().clone()).unwrap();
    assert_eq!(again.pids().unwrap(), [container.pid()]);
    again.freeze().unwrap();
    assert!(container.cgroup().frozen().unwrap());
    again.thaw().unwrap();
    let (reader, stdio) = pipes();
    let exec = container.exec(&shell("cat /proc/1/cgroup"), stdio, &ExecOptions::default()).unwrap();
    assert!(!end(exec.pidfd.as_fd(), reader).text.is_empty());
    let options = ExecOptions { cgroup: SubGroups::parse(&["none"]).unwrap(), ..ExecOptions::default() };
    let error = container.exec(&shell("true"), pipes().1, &options).unwrap_err();
    assert!(error.causes()[0].starts_with("adding pid "), "{error:?}");
    container.delete().unwrap();
    assert_eq!(show(&unit, "LoadState"), "not-found", "the unit is gone");
    assert!(again.pids().unwrap().is_empty());
    again.delete().unwrap();
}

fn reload() {
    if !present() {
        return;
    }
    let script = "while :; do : < /dev/null || exit 9; sleep 0.01; done";
    let mut fixture = fixture(script);
    let privileged = Fixture::privileged(script);
    fixture.spec.linux.as_mut().unwrap().namespaces =
        privileged.spec.linux.as_ref().unwrap().namespaces.clone();
    fixture.linux().uid_mappings.clear();
    fixture.linux().gid_mappings.clear();
    fixture.linux().resources = Some(Resources { devices: vec![DeviceRule::default()], ..resources() });
    let container = running(&fixture);
    let opens = || {
        let (reader, stdio) = pipes();
        let exec = container
            .exec(&shell("[ -e /k ] || mknod /k c 10 229; (: < /k); true"), stdio, &ExecOptions::default())
            .unwrap();
        !end(exec.pidfd.as_fd(), reader).text.contains("can't open /k: Operation not permitted")
    };
    let reload = || assert!(Command::new("systemctl").arg("daemon-reload").status().unwrap().success());
    assert_eq!(show(&unit(&fixture), "DevicePolicy"), "strict");
    assert!(!opens());
    reload();
    assert!(!opens(), "systemd has not opened what is closed");
    let allowed =
        DeviceRule { allow: true, kind: Some("c".into()), major: Some(10), minor: Some(229), access: None };
    container.cgroup().apply(&Resources { devices: vec![allowed], ..Resources::default() }).unwrap();
    assert!(opens());
    reload();
    assert!(opens(), "nor closed what is open");
    assert!(alive(container.pidfd().unwrap()), "/dev/null was always there");
    let memory = Path::new("/sys/fs/cgroup").join(container.cgroup().path().trim_start_matches('/'));
    if memory.join("memory.max").exists() {
        assert_eq!(fs::read_to_string(memory.join("memory.max")).unwrap(), "67108864\n");
    }
    container.delete().unwrap();
}

fn annotations() {
    if !present() {
        return;
    }
    let mut fixture = fixture("sleep 100");
    fixture.spec.annotations = [
        ("org.systemd.property.TimeoutStopUSec", "uint64 7000000"),
        ("org.systemd.property.Description", "'a box'"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let container = running(&fixture);
    assert_eq!(show(&unit(&fixture), "TimeoutStopUSec"), "7s");
    assert_eq!(show(&unit(&fixture), "Description"), "a box");
    container.delete().unwrap();
}

fn failures() {
    if !present() {
        return;
    }
    let mut fixture = fixture("true");
    fixture.process().args = vec!["/nowhere".into()];
    fixture.create_piped().map(|_| ()).unwrap_err();
    assert_eq!(show(&unit(&fixture), "LoadState"), "not-found");
    fixture.spec.annotations = [("org.systemd.property.NoSuchThing".to_owned(), "1".to_owned())].into();
    let error = fixture.create_piped().map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot start systemd unit {}", unit(&fixture)));
    fixture.spec.annotations.clear();
    let first = {
        fixture.process().args = vec!["sleep".into(), "100".into()];
        running(&fixture)
    };
    let error = fixture.create_piped().map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "container's cgroup is not empty");
    assert!(alive(first.pidfd().unwrap()) && show(&unit(&fixture), "ActiveState") == "active");
    first.delete().unwrap();
}

fn absent() {
    if Path::new("/run/systemd/system").exists() || Path::new("/run/dbus/system_bus_socket").exists() {
        println!("skipped here: systemd can be reached");
        return;
    }
    let fixture = fixture("true");
    let error = fixture.create_piped().map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "cannot reach systemd");
    assert!(error.remedy().unwrap().contains("--systemd-cgroup"));
}
