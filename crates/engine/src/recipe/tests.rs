use super::*;
use sampan_types::{
    ContainerConfig, ContainerId, Cpus, Digest, Memory, Resources, Userns,
    ops::ExecContainer,
    spec::{Action, Process},
};
use std::time::SystemTime;

fn record(container_type: ContainerType) -> ContainerRecord {
    ContainerRecord {
        id: ContainerId::from_bytes([0x5a; 32]),
        name: "box".parse().unwrap(),
        config: ContainerConfig {
            container_type,
            image: "debian".into(),
            entrypoint: None,
            command: vec![],
            env: vec![],
            working_dir: None,
            user: None,
            hostname: None,
            tty: container_type == ContainerType::System,
            stdin_open: false,
            volumes: vec!["/srv:/data:ro".parse().unwrap()],
            ports: vec![],
            network: NetworkMode::Bridge,
            resources: Resources { memory: Some(Memory(64 << 20)), cpus: Some(Cpus(1500)), pids: Some(100) },
            userns: Userns::Own,
            auto_remove: false,
            stop_signal: None,
            labels: Default::default(),
        },
        image_digest: Digest::sha256([1; 32]),
        endpoint: None,
        created_at: SystemTime::UNIX_EPOCH,
        last_exit: None,
    }
}

fn image() -> ImageConfig {
    ImageConfig {
        entrypoint: vec!["/entry".into()],
        cmd: vec!["serve".into()],
        env: vec!["PATH=/bin".into(), "A=image".into()],
        ..ImageConfig::default()
    }
}

fn root_user() -> ResolvedUser {
    ResolvedUser { uid: 0, gid: 0, groups: vec![], home: "/root".into() }
}

fn cook(record: &ContainerRecord, id_base: Option<u32>) -> Spec {
    specification(&Ingredients {
        record,
        image: &image(),
        user: &root_user(),
        id_base,
        cgroup: format!("/sampan/{}", record.id),
        etc: "/var/lib/sampan/containers/x".into(),
        hostname: "box".into(),
        root: "/run/sampan/containers/x/rootfs".into(),
        missing_capabilities: &["CAP_SYS_RESOURCE"],
        console_size: Some((24, 80)),
    })
}

#[test]
fn what_the_engine_lacks_is_only_given_within_own_ids() {
    let bounding = |id_base| {
        cook(&record(ContainerType::System), id_base).process.unwrap().capabilities.unwrap().bounding
    };
    assert!(bounding(Some(1_000_000)).contains(&"CAP_SYS_RESOURCE".to_owned()));
    assert!(!bounding(None).contains(&"CAP_SYS_RESOURCE".to_owned()));
}

/// The filter is long and has tests of its own.
fn golden(mut spec: Spec) -> String {
    if let Some(linux) = &mut spec.linux {
        linux.seccomp = None;
    }
    serde_json::to_string_pretty(&spec).unwrap()
}

#[test]
fn app_with_own_ids() {
    insta::assert_snapshot!(golden(cook(&record(ContainerType::App), Some(1_000_000))));
}

#[test]
fn app_with_the_hosts_ids() {
    insta::assert_snapshot!(golden(cook(&record(ContainerType::App), None)));
}

#[test]
fn system_with_own_ids() {
    let mut spec = cook(&record(ContainerType::System), Some(1_000_000));
    // Bound only where the host has them.
    spec.mounts.retain(|mount| {
        !["/dev/fuse", "/dev/net/tun"].iter().any(|path| mount.destination.as_os_str() == *path)
    });
    insta::assert_snapshot!(golden(spec));
}

#[test]
fn commands_merge_as_docker_has_it() {
    let mut config = record(ContainerType::App).config;
    assert_eq!(args(&config, &image()), ["/entry", "serve"]);
    config.command = vec!["x".into()];
    assert_eq!(args(&config, &image()), ["/entry", "x"]);
    config.entrypoint = Some(vec!["sh".into()]);
    assert_eq!(args(&config, &image()), ["sh", "x"]);
    config.command.clear();
    assert_eq!(args(&config, &image()), ["sh"], "a new entrypoint drops the image's command");
    config.entrypoint = Some(vec![]);
    config.command = vec!["y".into()];
    assert_eq!(args(&config, &image()), ["y"]);
    assert_eq!(args(&record(ContainerType::System).config, &image()), ["/sbin/init"]);
}

#[test]
fn environment_is_layered() {
    let mut config = record(ContainerType::App).config;
    config.env = vec!["A=user".parse().unwrap(), "B=1".parse().unwrap()];
    let env = environment(&config, &image(), "box", &root_user());
    assert_eq!(env, ["HOSTNAME=box", "PATH=/bin", "A=user", "B=1", "HOME=/root"]);
    config.env = vec!["A".parse().unwrap()];
    assert!(!environment(&config, &image(), "box", &root_user()).iter().any(|line| line.starts_with("A=")));
}

#[test]
fn an_app_may_not_make_namespaces_nor_load_modules() {
    let spec = cook(&record(ContainerType::App), Some(1_000_000));
    let seccomp = spec.linux.unwrap().seccomp.unwrap();
    assert_eq!(seccomp.default_action, Action::Errno);
    let named = |name: &str| seccomp.syscalls.iter().any(|rule| rule.names.iter().any(|n| n == name));
    for forbidden in
        ["unshare", "setns", "mount", "init_module", "bpf", "keyctl", "kexec_load", "io_uring_setup"]
    {
        assert!(!named(forbidden), "{forbidden}");
    }
    for needed in ["read", "execve", "futex", "openat", "clone", "socket", "rseq"] {
        assert!(named(needed), "{needed}");
    }
}

#[test]
fn exec_has_the_containers_rights_and_another_users_home() {
    let main = Process {
        env: vec!["A=1".into(), "HOME=/root".into()],
        cwd: "/".into(),
        capabilities: cook(&record(ContainerType::App), None).process.unwrap().capabilities,
        ..Process::default()
    };
    let operation = ExecContainer {
        container: "box".into(),
        command: vec!["id".into()],
        env: vec!["B=2".parse().unwrap()],
        working_dir: Some("/tmp".into()),
        user: Some("www".into()),
        tty: true,
        console_size: Some((24, 80)),
        stdio: None,
    };
    let user = ResolvedUser { uid: 33, gid: 33, groups: vec![4], home: "/var/www".into() };
    let process = exec_process(&main, &operation, Some(&user));
    assert_eq!(process.env, ["A=1", "TERM=xterm", "HOME=/var/www", "B=2"]);
    assert_eq!((process.user.uid, process.cwd.as_str(), process.terminal), (33, "/tmp", true));
    let sets = process.capabilities.unwrap();
    assert!(sets.effective.is_empty() && !sets.bounding.is_empty());
}
