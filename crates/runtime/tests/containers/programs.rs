//! What the program finds when it runs, and what is said where it does not.

use crate::{
    Test,
    support::{Ended, Fixture, HOST_ID, alive, bind},
};
use sampan_types::{ErrorKind, spec};
use std::{fs, os::unix::fs::MetadataExt};

pub(crate) const TESTS: &[Test] = &[
    ("program_has_namespaces_of_its_own", namespaces),
    ("program_has_only_its_three_descriptors", descriptors),
    ("program_files_are_root_s_on_disk", ownership),
    ("program_surroundings", surroundings),
    ("program_missing_or_not_executable", missing),
    ("program_without_user_namespace", privileged),
    ("program_dies_with_the_runtime_only_where_asked", parent_death),
];

fn namespaces() {
    let script = "hostname; id -u; echo $$; cat /proc/self/uid_map; ls /; ls /proc/sys/net/ipv4/conf; exit 7";
    let ended = Fixture::new(script).run().unwrap();
    let lines: Vec<_> = ended.text.lines().map(str::trim).collect();
    assert_eq!(lines[..3], ["box", "0", "1"]);
    assert_eq!(lines[3].split_whitespace().collect::<Vec<_>>(), ["0", &HOST_ID.to_string(), "65536"]);
    assert_eq!(lines[4..11], ["bin", "dev", "etc", "proc", "sys", "tmp", "all"], "{lines:?}");
    assert_eq!(lines[11..], ["default", "lo"], "{lines:?}");
    assert_eq!(ended.code, 7);
}

fn descriptors() {
    // Inherited without the mark that closes it.
    let leak = fs::File::open("/etc").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let ended = Fixture::new("exec ls /proc/self/fd").run().unwrap();
    assert_eq!(ended.text.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"], "3 is what ls reads");
    let mut fixture = Fixture::new("");
    fixture.process().args =
        ["grep", "-E", "^Sig(Blk|Ign|Cgt):", "/proc/self/status"].map(str::to_owned).to_vec();
    let ended = fixture.run().unwrap();
    assert!(ended.text.contains("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000"), "{}", ended.text);
}

fn ownership() {
    let fixture = Fixture::new("echo x > /f; mkdir /d; chown 1000:1000 /d; stat -c %u:%g /bin/busybox /f");
    let ended = fixture.run().unwrap();
    assert_eq!(ended, Ended { code: 0, text: "0:0\n0:0\n".into() });
    let owner =
        |name: &str| fs::metadata(fixture.path("upper").join(name)).map(|m| (m.uid(), m.gid())).unwrap();
    assert_eq!((owner("f"), owner("d")), ((0, 0), (1000, 1000)));
}

fn surroundings() {
    let mut fixture = Fixture::new(
        "pwd; id; umask; echo $HOME; cat /proc/self/oom_score_adj; ulimit -n; ulimit -Hn; ls -ld .",
    );
    let process = fixture.process();
    process.cwd = "/made/here".into();
    process.user = spec::User { uid: 1000, gid: 1001, umask: Some(0o77), additional_gids: vec![7, 8] };
    process.oom_score_adj = Some(321);
    process.rlimits = vec![spec::Rlimit { kind: "RLIMIT_NOFILE".into(), hard: 200, soft: 100 }];
    fixture.linux().sysctl.insert("net.ipv4.ip_forward".into(), "1".into());
    let ended = fixture.run().unwrap();
    let lines: Vec<_> = ended.text.lines().collect();
    assert_eq!(lines[0], "/made/here");
    assert_eq!(lines[1], "uid=1000(u) gid=1001 groups=7,8");
    assert_eq!(lines[2..7], ["0077", "/home/u", "321", "100", "200"]);
    assert!(lines[7].starts_with("drwxr-xr-x"), "{lines:?}");
    fixture.process().args[2] =
        "cat /proc/sys/net/ipv4/ip_forward /proc/self/status | grep -E '^[0-9]|Cap'".into();
    let ended = fixture.run().unwrap();
    assert!(
        ended.text.starts_with("1\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000"),
        "{}",
        ended.text
    );
    assert!(ended.text.contains("CapBnd:\t00000000080000e3"), "{}", ended.text);
}

fn missing() {
    let mut fixture = Fixture::new("");
    for (program, text) in [
        ("nonsense", "CommandNotFound: exec: \"nonsense\": executable file not found in $PATH"),
        ("/bin/none", "CommandNotFound: exec: \"/bin/none\": stat /bin/none: no such file or directory"),
        ("/etc/passwd", "NotExecutable: exec: \"/etc/passwd\": permission denied"),
        ("/etc", "NotExecutable: exec: \"/etc\": is a directory"),
    ] {
        fixture.process().args[0] = program.into();
        let error = fixture.create_piped().map(|_| ()).unwrap_err();
        assert_eq!(format!("{error:?}"), text);
        fixture.assert_nothing_left();
    }
    // What only execve can tell is told by start.
    fs::write(fixture.path("layer/bin/broken"), "#!/none\n").unwrap();
    fs::write(fixture.path("layer/bin/data"), "\0\u{1}").unwrap();
    for (program, kind, cause) in [
        ("broken", ErrorKind::CommandNotFound, "no such file or directory"),
        ("data", ErrorKind::NotExecutable, "exec format error"),
    ] {
        use std::os::unix::fs::PermissionsExt;
        let path = fixture.path("layer/bin").join(program);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        fixture.process().args[0] = program.into();
        let error = fixture.run().unwrap_err();
        assert_eq!((error.kind(), error.causes().concat()), (kind, cause.to_owned()));
        fixture.assert_nothing_left();
    }
    fixture.process().user.uid = 70_000;
    fixture.process().args[0] = "sh".into();
    let error = fixture.create_piped().map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "cannot become user 70000");
    assert_eq!(error.remedy(), Some("it is outside of the container's range of ids"));
}

fn privileged() {
    let script = "id -u; cat /proc/self/uid_map; mount | grep -c ' on /dev/null '; ls -l /dev/null; readlink /dev/ptmx; readlink /dev/fd";
    let ended = Fixture::privileged(script).run().unwrap();
    let lines: Vec<_> = ended.text.lines().collect();
    assert_eq!((lines[0], lines[2]), ("0", "0"), "{lines:?}");
    assert!(lines[1].ends_with("4294967295"), "{lines:?}");
    assert!(lines[3].starts_with("crw-rw-rw-"), "{lines:?}");
    assert_eq!(lines[4..], ["pts/ptmx", "/proc/self/fd"]);
}

fn parent_death() {
    for (die_with_parent, lives) in [(true, false), (false, true)] {
        let mut fixture = Fixture::new("sleep 100");
        fixture.options.die_with_parent = die_with_parent;
        // Gone with this process, should the test fail.
        fixture.spec.mounts.push(bind(&fixture.path("bundle"), "/mnt", "ro"));
        let (reader, writer) = std::io::pipe().unwrap();
        let runtime = sampan_sys::clone::clone(rustix::thread::UnshareFlags::empty(), None, || {
            let (mut container, _reader) = fixture.create_piped().unwrap();
            container.start().unwrap();
            rustix::io::write(&writer, &container.pid().to_ne_bytes()).unwrap();
            rustix::event::pause();
            0
        })
        .unwrap();
        let mut pid = [0; 4];
        rustix::io::read(&reader, &mut pid).unwrap();
        let pid = rustix::process::Pid::from_raw(i32::from_ne_bytes(pid)).unwrap();
        let init = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        use std::os::fd::AsFd;
        rustix::process::pidfd_send_signal(&runtime.pidfd, rustix::process::Signal::KILL).unwrap();
        assert_eq!(crate::support::wait(runtime.pidfd.as_fd()), 137);
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(alive(init.as_fd()), lives);
        let cgroup = fixture.cgroup();
        cgroup.kill_all().unwrap();
        cgroup.delete().unwrap();
        fixture.assert_nothing_left();
    }
}
