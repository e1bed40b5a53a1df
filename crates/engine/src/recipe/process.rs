//! The container's process, and others that are run in it later.

use super::Ingredients;
use crate::users::ResolvedUser;
use sampan_image::ImageConfig;
use sampan_types::{
    ContainerConfig, ContainerType, EnvVar,
    spec::{Capabilities, ConsoleSize, Process, User},
};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Docker's default set: enough for most servers, nothing that reaches the kernel's configuration.
const APP_CAPABILITIES: &[&str] = &[
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// What an init system needs; without those that reach the host's kernel, clock, hardware or security modules.
const SYSTEM_CAPABILITIES: &[&str] = &[
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_AUDIT_WRITE",
    "CAP_BLOCK_SUSPEND",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TTY_CONFIG",
];

/// In a user namespace of its own a container's capabilities are its own; with the host's ids they are the engine's to give.
pub(super) fn capabilities(from: &Ingredients) -> Vec<String> {
    let names = match from.record.config.container_type {
        ContainerType::App => APP_CAPABILITIES,
        ContainerType::System => SYSTEM_CAPABILITIES,
    };
    let given = |name: &&&str| from.id_base.is_some() || !from.missing_capabilities.contains(*name);
    names.iter().filter(given).map(ToString::to_string).collect()
}

/// Program and arguments: what the user gave over what the image has, by Docker's rules. Empty where neither says.
pub(crate) fn args(config: &ContainerConfig, image: &ImageConfig) -> Vec<String> {
    if config.container_type == ContainerType::System
        && config.command.is_empty()
        && config.entrypoint.is_none()
    {
        return vec!["/sbin/init".to_owned()];
    }
    let (entrypoint, default_command) = match &config.entrypoint {
        Some(entrypoint) => (entrypoint, &[][..]),
        None => (&image.entrypoint, &image.cmd[..]),
    };
    let command = if config.command.is_empty() { default_command } else { &config.command };
    entrypoint
        .iter()
        .chain(command)
        .filter(|word| !word.is_empty() || !entrypoint.is_empty())
        .cloned()
        .collect()
}

/// The environment: defaults, then the image's, then the user's; later ones win.
pub(crate) fn environment(
    config: &ContainerConfig,
    image: &ImageConfig,
    hostname: &str,
    user: &ResolvedUser,
) -> Vec<String> {
    let mut env = vec![PATH.to_owned()];
    match config.container_type {
        ContainerType::App => env.push(format!("HOSTNAME={hostname}")),
        // systemd's container interface: tells init and its units where they are.
        ContainerType::System => env.push("container=sampan".to_owned()),
    }
    if config.tty && config.container_type == ContainerType::App {
        env.push("TERM=xterm".to_owned());
    }
    for variable in &image.env {
        if let Ok(variable) = variable.parse() {
            set(&mut env, &variable);
        }
    }
    for variable in &config.env {
        set(&mut env, variable);
    }
    if config.container_type == ContainerType::App && !env.iter().any(|line| line.starts_with("HOME=")) {
        env.push(format!("HOME={}", user.home));
    }
    env
}

fn set(env: &mut Vec<String>, variable: &EnvVar) {
    let prefix = format!("{}=", variable.key);
    env.retain(|line| !line.starts_with(&prefix));
    if let Some(value) = &variable.value {
        env.push(prefix + value);
    }
}

pub(super) fn main_process(from: &Ingredients, capabilities: &[String]) -> Process {
    let config = &from.record.config;
    let cwd = config.working_dir.as_deref().and_then(|dir| dir.to_str()).unwrap_or(&from.image.working_dir);
    Process {
        terminal: config.tty,
        console_size: from.console_size.map(|(height, width)| ConsoleSize { height, width }),
        user: user(from.user),
        args: args(config, from.image),
        env: environment(config, from.image, &from.hostname, from.user),
        cwd: if cwd.is_empty() { "/".to_owned() } else { cwd.to_owned() },
        capabilities: Some(capability_sets(capabilities, from.user)),
        ..Process::default()
    }
}

/// A process that joins later: the container's own environment and rights, changed as asked.
pub(crate) fn exec_process(
    main: &Process,
    exec: &sampan_types::ops::ExecContainer,
    user: Option<&ResolvedUser>,
) -> Process {
    let mut process = Process {
        terminal: exec.tty,
        console_size: exec.console_size.map(|(height, width)| ConsoleSize { height, width }),
        args: exec.command.clone(),
        ..main.clone()
    };
    if exec.tty && !process.env.iter().any(|line| line.starts_with("TERM=")) {
        process.env.push("TERM=xterm".to_owned());
    }
    if let Some(found) = user {
        process.user = self::user(found);
        set(&mut process.env, &EnvVar { key: "HOME".into(), value: Some(found.home.clone()) });
        let bounding = main.capabilities.as_ref().map(|sets| sets.bounding.clone()).unwrap_or_default();
        process.capabilities = Some(capability_sets(&bounding, found));
    }
    for variable in &exec.env {
        set(&mut process.env, variable);
    }
    if let Some(dir) = exec.working_dir.as_deref().and_then(|dir| dir.to_str()) {
        process.cwd = dir.to_owned();
    }
    process
}

fn user(found: &ResolvedUser) -> User {
    User { uid: found.uid, gid: found.gid, umask: None, additional_gids: found.groups.clone() }
}

/// Root has its capabilities in force; another user only the right to gain them through set-user-id programs. Nothing
/// is inheritable (CVE-2022-29162).
fn capability_sets(names: &[String], user: &ResolvedUser) -> Capabilities {
    let in_force = if user.uid == 0 { names.to_vec() } else { Vec::new() };
    Capabilities {
        bounding: names.to_vec(),
        permitted: in_force.clone(),
        effective: in_force,
        inheritable: Vec::new(),
        ambient: Vec::new(),
    }
}
