//! From created to deleted, again in joined namespaces, with hooks, and back from every failure.

use crate::{
    Test,
    support::{Fixture, alive, bind, end, wait},
};
use rustix::process::Signal;
use sampan_types::{
    ErrorKind,
    spec::{Hook, Hooks, Namespace, NamespaceKind},
};
use std::{
    fs,
    os::fd::{AsRawFd, BorrowedFd},
    path::{Path, PathBuf},
};

pub(crate) const TESTS: &[Test] = &[
    ("lifecycle_created_waits", created),
    ("lifecycle_again_in_kept_namespaces", again),
    ("lifecycle_hooks", hooks),
    ("lifecycle_failing_hook", failing_hook),
    ("lifecycle_failures_leave_nothing", failures),
    ("lifecycle_kill_and_delete", kill),
    ("lifecycle_host_network", host_network),
];

fn created() {
    let fixture = Fixture::new("echo ran");
    let (mut container, reader) = fixture.create_piped().unwrap();
    assert!(alive(container.pidfd().unwrap()));
    assert_eq!(container.start_time(), sampan_sys::process::start_time(container.pid()).unwrap());
    let (_output, stdio) = crate::support::pipes();
    let exec = container
        .exec(&crate::support::shell("cat /proc/1/cmdline"), stdio, &sampan_runtime::ExecOptions::default())
        .unwrap();
    use std::os::fd::AsFd;
    assert_eq!(wait(exec.pidfd.as_fd()), 0);
    container.start().unwrap();
    assert_eq!(end(container.pidfd().unwrap(), reader).text, "ran\n");
    let error = container.start().unwrap_err();
    assert_eq!(
        (error.kind(), error.causes().concat()),
        (ErrorKind::Conflict, "it was started before".into())
    );
    container.delete().unwrap();
    fixture.assert_nothing_left();
}

fn fd_path(fd: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

fn again() {
    let mut fixture =
        Fixture::new("readlink /proc/self/ns/user; readlink /proc/self/ns/net; echo $$; id -u; touch /f$1");
    let (mut container, reader) = fixture.create_piped().unwrap();
    let netns = container.netns().unwrap();
    let userns = container.userns().unwrap().unwrap();
    container.start().unwrap();
    let first = end(container.pidfd().unwrap(), reader);
    container.delete().unwrap();
    use std::os::fd::AsFd;
    for namespace in &mut fixture.linux().namespaces {
        match namespace.kind {
            NamespaceKind::User => namespace.path = Some(fd_path(userns.as_fd())),
            NamespaceKind::Network => namespace.path = Some(fd_path(netns.as_fd())),
            _ => {}
        }
    }
    let second = fixture.run().unwrap();
    assert_eq!(first, second);
    assert!(first.text.ends_with("\n1\n0\n"), "{}", first.text);
    // Joined without being told its maps, too.
    fixture.linux().uid_mappings.clear();
    fixture.linux().gid_mappings.clear();
    assert_eq!(fixture.run().unwrap(), first);
    let wrong = Namespace { kind: NamespaceKind::Network, path: Some("/proc/self/ns/uts".into()) };
    fixture.linux().namespaces.retain(|own| own.kind != NamespaceKind::Network);
    fixture.linux().namespaces.push(wrong);
    let error = fixture.run().unwrap_err();
    assert_eq!(error.to_string(), "cannot join the network namespace /proc/self/ns/uts");
    fixture.assert_nothing_left();
}

fn hook(fixture: &Fixture, name: &str) -> Hook {
    let script =
        format!("(echo {name}; cat; echo) >> {0}; cat /proc/1/comm >> {0}", fixture.path("log").display());
    Hook {
        path: "/bin/sh".into(),
        args: ["sh", "-c", &script].map(str::to_owned).to_vec(),
        env: vec!["PATH=/bin:/usr/bin".into()],
        timeout: Some(10),
    }
}

fn hooks() {
    let mut fixture = Fixture::privileged("true");
    // Seen from inside by its path outside, so that hooks on both sides write one log.
    let log = fixture.path("log");
    fs::write(&log, "").unwrap();
    fixture.spec.mounts.push(bind(&log, log.to_str().unwrap(), "rw"));
    fixture.spec.hooks = Some(Hooks {
        prestart: vec![hook(&fixture, "prestart")],
        create_runtime: vec![hook(&fixture, "createRuntime")],
        create_container: vec![hook(&fixture, "createContainer")],
        start_container: vec![hook(&fixture, "startContainer")],
        poststart: vec![hook(&fixture, "poststart")],
        poststop: vec![hook(&fixture, "poststop")],
    });
    fixture.run().unwrap();
    let log = fs::read_to_string(log).unwrap();
    let field = |line: &str, name: &str| {
        let rest = line.split_once(&format!("\"{name}\":")).map(|(_, rest)| rest.to_owned());
        rest.map(|rest| {
            rest.trim_start_matches('"').chars().take_while(char::is_ascii_alphanumeric).collect::<String>()
        })
    };
    let lines: Vec<_> = log.lines().collect();
    let names: Vec<_> = lines.chunks(3).map(|chunk| (chunk[0], field(chunk[1], "status").unwrap())).collect();
    let expected = [
        ("prestart", "creating"),
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("startContainer", "created"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ];
    assert_eq!(names, expected.map(|(name, status)| (name, status.to_owned())));
    assert_eq!(field(lines[10], "pid").as_deref(), Some("1"), "startContainer is inside: {log}");
    assert_ne!(field(lines[1], "pid").as_deref(), Some("1"), "prestart is outside: {log}");
    assert_eq!(field(lines[16], "pid"), None, "{log}");
}

fn failing_hook() {
    let mut fixture = Fixture::new("true");
    let fails = Hook { path: "/bin/false".into(), args: vec!["false".into()], ..Hook::default() };
    for (kind, hooks) in [
        ("prestart", Hooks { prestart: vec![fails.clone()], ..Hooks::default() }),
        ("createRuntime", Hooks { create_runtime: vec![fails.clone()], ..Hooks::default() }),
        ("createContainer", Hooks { create_container: vec![fails.clone()], ..Hooks::default() }),
    ] {
        fixture.spec.hooks = Some(hooks);
        let error = fixture.create_piped().map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), format!("error running {kind} hook #0"));
        assert_eq!(error.causes(), ["/bin/false: exit status 1"]);
        fixture.assert_nothing_left();
    }
}

/// Its name, what is spoiled, and a part of what is said.
type Case = (&'static str, fn(&mut Fixture), &'static str);

fn failures() {
    let cases: [Case; 7] = [
        (
            "mount on /data",
            |f| f.spec.mounts.push(bind(Path::new("/none"), "/data", "ro")),
            "NotFound: cannot bind /none: No such file or directory (os error 2) (try: create /none first)",
        ),
        (
            "option",
            |f| f.spec.mounts[1].options.push("colour=red".into()),
            "tmpfs: Unknown parameter 'colour'",
        ),
        (
            "rlimit",
            |f| {
                f.process().rlimits =
                    vec![sampan_types::spec::Rlimit { kind: "RLIMIT_X".into(), hard: 1, soft: 1 }]
            },
            "invalid resource limit \"RLIMIT_X\"",
        ),
        (
            "sysctl",
            |f| {
                f.linux().sysctl.insert("vm.swappiness".into(), "1".into());
            },
            "invalid sysctl \"vm.swappiness\": it is not in a separate kernel namespace",
        ),
        ("layer", |f| fs::remove_dir_all(f.path("upper")).unwrap(), "cannot find the layer"),
        (
            "cwd",
            |f| f.process().cwd = "/etc/passwd".into(),
            "cannot enter the working directory /etc/passwd: it is not a directory",
        ),
        (
            "unified",
            |f| {
                f.linux().resources = Some(sampan_types::spec::Resources {
                    unified: [("a/b".to_owned(), String::new())].into(),
                    ..Default::default()
                })
            },
            "unified resource",
        ),
    ];
    let fds = || fs::read_dir("/proc/self/fd").unwrap().count();
    for (name, spoil, text) in cases {
        let mut fixture = Fixture::new("true");
        spoil(&mut fixture);
        let before = fds();
        let error = format!("{:?}", fixture.create_piped().map(|_| ()).unwrap_err());
        assert!(error.contains(text), "{name}: {error}");
        fixture.assert_nothing_left();
        assert_eq!(fds(), before, "{name} leaves descriptors open");
        let children = fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id()));
        assert_eq!(children.unwrap_or_default(), "", "{name} leaves a process");
    }
}

fn kill() {
    let fixture = Fixture::new(
        "sh -c 'while :; do sleep 1000; done' & trap 'exit 9' TERM; while :; do sleep 0.1; done",
    );
    let (mut container, _reader) = fixture.create_piped().unwrap();
    container.start().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    container.kill(Signal::TERM).unwrap();
    assert_eq!(wait(container.pidfd().unwrap()), 9);
    let error = container.kill(Signal::TERM).unwrap_err();
    assert_eq!(error.causes(), ["container not running"]);
    container.delete().unwrap();
    // One that was never started, and one that runs.
    let (container, _reader) = fixture.create_piped().unwrap();
    container.delete().unwrap();
    let (mut container, _reader) = fixture.create_piped().unwrap();
    container.start().unwrap();
    container.delete().unwrap();
    fixture.assert_nothing_left();
}

fn host_network() {
    let mut fixture = Fixture::new("readlink /proc/self/ns/net; ls /sys/class/net | grep -c .");
    fixture.linux().namespaces.retain(|namespace| namespace.kind != NamespaceKind::Network);
    let ended = fixture.run().unwrap();
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    assert!(ended.text.starts_with(own.to_str().unwrap()), "{}", ended.text);
    assert_eq!(ended.code, 0, "{}", ended.text);
}
