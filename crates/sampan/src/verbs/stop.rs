//! `stop`, `restart`, `kill`, `wait` and `shutdown`.

use clap::Args;
use sampan_engine::Engine;
use sampan_types::{
    Result,
    ops::{Execute, KillContainer, RestartContainer, ShutDown, StopContainer, WaitContainer},
    parse_signal,
};

/// Stop containers.
#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Seconds before it is killed (10, 60 for a system container; -1 waits for ever)
    #[arg(
        short = 't',
        long = "time",
        visible_alias = "timeout",
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    time: Option<i64>,
    /// Signal to send first
    #[arg(short = 's', long, value_name = "SIGNAL")]
    signal: Option<String>,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Stop {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        let signal = self.signal.as_deref().map(parse_signal).transpose()?;
        super::each(&self.containers, |container| {
            engine.execute(StopContainer { container: container.to_owned(), timeout_s: self.time, signal })
        })
    }
}

/// Stop and start containers.
#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// Seconds before it is killed (10, 60 for a system container; -1 waits for ever)
    #[arg(
        short = 't',
        long = "time",
        visible_alias = "timeout",
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    time: Option<i64>,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Restart {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        super::each(&self.containers, |container| {
            engine.execute(RestartContainer { container: container.to_owned(), timeout_s: self.time })
        })
    }
}

/// Send a signal to containers.
#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// Signal by name or number
    #[arg(short = 's', long, default_value = "KILL", value_name = "SIGNAL")]
    signal: String,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Kill {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        let signal = parse_signal(&self.signal)?;
        super::each(&self.containers, |container| {
            engine.execute(KillContainer { container: container.to_owned(), signal })
        })
    }
}

/// Wait until containers have ended; print their exit codes.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Wait {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        for container in self.containers {
            println!("{}", engine.execute(WaitContainer { container })?.code);
        }
        Ok(0)
    }
}

/// Stop all containers and take the engine's networks off the host. The next start brings them back.
#[derive(Debug, Args)]
pub(crate) struct Shutdown {
    /// Seconds before a container is killed (10, 60 for a system container; -1 waits for ever)
    #[arg(
        short = 't',
        long = "time",
        visible_alias = "timeout",
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    time: Option<i64>,
}

impl Shutdown {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        engine.execute(ShutDown { timeout_s: self.time }).map(|()| 0)
    }
}
