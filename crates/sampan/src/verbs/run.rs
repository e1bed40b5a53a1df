//! `run`, `launch` and `create`.

use crate::{attach, terminal};
use clap::Args;
use sampan_engine::Engine;
use sampan_types::{
    ContainerConfig, ContainerName, ContainerType, Cpus, EnvVar, Error, ErrorKind, ImageRef, Memory,
    NetworkMode, PortMapping, Resources, Result, Userns, VolumeSpec,
    ops::{CreateContainer, Execute, RunContainer},
    parse_signal,
};
use std::{net::IpAddr, path::PathBuf, str::FromStr};

/// What a container is made of; the same for `run`, `create` and (in part) `launch`.
#[derive(Debug, Args)]
pub(crate) struct Making {
    /// Set a variable of the environment; a bare NAME takes the caller's value
    #[arg(short = 'e', long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<EnvVar>,
    /// Show a directory or file of the host inside
    #[arg(short = 'v', long = "volume", value_name = "SRC:DST[:ro]")]
    volumes: Vec<String>,
    /// Lead a port of the host to one of the container
    #[arg(short = 'p', long = "publish", value_name = "[IP:]HOST:CTR[/udp]")]
    publish: Vec<String>,
    /// The container's address on the default network
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// Host name inside
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,
    /// bridge, none or host
    #[arg(long, visible_alias = "net", default_value = "bridge", value_name = "NETWORK")]
    network: String,
    /// Most memory (and swap): 512m, 2g
    #[arg(short = 'm', long, value_name = "BYTES")]
    memory: Option<Memory>,
    /// Most processors: 1.5
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<Cpus>,
    /// Most processes and threads
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pids_limit: Option<u32>,
    /// Whose ids its processes have: own (a range of its own) or host
    #[arg(long, value_name = "MODE", default_value = "own")]
    userns: String,
    /// Signal that asks it to stop
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// A label
    #[arg(short = 'l', long = "label", value_name = "NAME[=VALUE]")]
    labels: Vec<String>,
}

/// Create a container and run its program.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:
  sampan run --rm -it debian bash             a shell that is gone afterwards
  sampan run -d --name web -p 8080:80 nginx   a server in the background
  sampan run --rm -v /srv/data:/data debian ls -l /data"
)]
pub(crate) struct Run {
    /// Run in the background; print the id
    #[arg(short = 'd', long)]
    detach: bool,
    #[command(flatten)]
    create: Create,
}

/// Create a container without starting it.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Create {
    /// Print this help
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
    /// Remove the container when it ends
    #[arg(long)]
    rm: bool,
    /// Name; one is made up otherwise
    #[arg(long)]
    name: Option<ContainerName>,
    /// Keep standard input open
    #[arg(short = 'i', long)]
    interactive: bool,
    /// Give the program a terminal
    #[arg(short = 't', long)]
    tty: bool,
    /// Working directory inside
    #[arg(short = 'w', long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// User (and group), by name or number
    #[arg(short = 'u', long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Run this instead of the image's entrypoint
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// app: one program; system: the image's init and all it starts
    #[arg(long = "type", value_name = "TYPE", default_value = "app", value_parser = ["app", "system"])]
    container_type: String,
    #[command(flatten)]
    making: Making,
    /// Image to run
    #[arg(value_name = "IMAGE")]
    image: ImageRef,
    /// Program and arguments, instead of the image's
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Create a system container and start it.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:
  sampan launch debian-system box     a machine: systemd, cron, ssh, an address that stays
  sampan exec -it box bash            a shell in it
  sampan stop box && sampan start box its disk and address stay"
)]
pub(crate) struct Launch {
    /// Print this help
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
    #[command(flatten)]
    making: Making,
    /// Image to launch
    #[arg(value_name = "IMAGE")]
    image: ImageRef,
    /// Its name, and its host name
    #[arg(value_name = "NAME")]
    name: ContainerName,
}

impl Making {
    fn config(
        self,
        container_type: ContainerType,
        image: &ImageRef,
    ) -> Result<(ContainerConfig, Option<IpAddr>)> {
        let mut ports = Vec::new();
        for text in &self.publish {
            ports.extend(PortMapping::parse(text)?);
        }
        let network = NetworkMode::from_str(&self.network)?;
        if network != NetworkMode::Bridge && (!ports.is_empty() || self.ip.is_some()) {
            let what = if ports.is_empty() { "give an address" } else { "publish ports" };
            return Err(Error::new(ErrorKind::InvalidInput, format!("cannot {what} on network {network}"))
                .because("only the bridge network has addresses and ports of its own")
                .hint("leave out --network, or -p and --ip"));
        }
        let config = ContainerConfig {
            container_type,
            image: image.familiar(),
            entrypoint: None,
            command: Vec::new(),
            env: self.env.into_iter().map(with_own_value).collect(),
            working_dir: None,
            user: None,
            hostname: self.hostname,
            tty: false,
            stdin_open: false,
            volumes: self.volumes.iter().map(|text| volume(text)).collect::<Result<_>>()?,
            ports,
            network,
            resources: Resources { memory: self.memory, cpus: self.cpus, pids: self.pids_limit },
            userns: Userns::from_str(&self.userns)?,
            auto_remove: false,
            stop_signal: self.stop_signal.as_deref().map(parse_signal).transpose()?,
            labels: self
                .labels
                .iter()
                .map(|label| label.split_once('=').unwrap_or((label, "")))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        };
        Ok((config, self.ip))
    }
}

/// A bare NAME takes the value that it has here.
fn with_own_value(variable: EnvVar) -> EnvVar {
    let value = variable.value.or_else(|| std::env::var(&variable.key).ok());
    EnvVar { value, ..variable }
}

/// A source that begins with `.` is meant from where the caller stands.
fn volume(text: &str) -> Result<VolumeSpec> {
    if !text.starts_with('.') {
        return text.parse();
    }
    let here =
        std::env::current_dir().map_err(|source| Error::io("cannot find the working directory", source))?;
    format!("{}/{text}", here.display()).parse()
}

impl Create {
    fn operation(self) -> Result<CreateContainer> {
        let container_type =
            if self.container_type == "system" { ContainerType::System } else { ContainerType::App };
        let (config, ip) = self.making.config(container_type, &self.image)?;
        let entrypoint =
            self.entrypoint.map(|program| if program.is_empty() { Vec::new() } else { vec![program] });
        let config = ContainerConfig {
            entrypoint,
            command: self.command,
            working_dir: self.workdir,
            user: self.user,
            tty: self.tty || container_type == ContainerType::System,
            stdin_open: self.interactive,
            auto_remove: self.rm,
            ..config
        };
        Ok(CreateContainer { name: self.name, config, ip })
    }

    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        println!("{}", engine.execute(self.operation()?)?.id);
        Ok(0)
    }
}

impl Run {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        let create = self.create.operation()?;
        if create.config.tty && create.config.stdin_open && !self.detach {
            terminal::require()?;
        }
        let attach = !self.detach;
        let task = engine.execute(RunContainer { create, attach, console_size: terminal::size() })?;
        if !attach {
            println!("{}", task.id);
            return Ok(0);
        }
        attach::foreground(engine, task, true)
    }
}

impl Launch {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        let (config, ip) = self.making.config(ContainerType::System, &self.image)?;
        let config = ContainerConfig { tty: true, stdin_open: true, ..config };
        let create = CreateContainer { name: Some(self.name), config, ip };
        let task = engine.execute(RunContainer { create, attach: false, console_size: None })?;
        println!("{}", task.name);
        Ok(0)
    }
}
