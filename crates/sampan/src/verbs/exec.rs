//! `exec`.

use crate::{attach, terminal};
use clap::Args;
use sampan_engine::Engine;
use sampan_types::{
    EnvVar, Error, Result,
    ops::{ExecContainer, Execute},
};
use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
};

/// Run another program in a container.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sampan exec box systemctl status
  sampan exec -it web sh")]
pub(crate) struct Exec {
    /// Run in the background
    #[arg(short = 'd', long)]
    detach: bool,
    /// Pass standard input on
    #[arg(short = 'i', long)]
    interactive: bool,
    /// Give the program a terminal
    #[arg(short = 't', long)]
    tty: bool,
    /// Set a variable of the environment
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE")]
    env: Vec<EnvVar>,
    /// Working directory inside
    #[arg(short = 'w', long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// User (and group), by name or number
    #[arg(short = 'u', long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Name or id
    container: String,
    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        if self.tty && self.interactive && !self.detach {
            terminal::require()?;
        }
        let task = engine.execute(ExecContainer {
            container: self.container,
            command: self.command,
            env: self.env,
            working_dir: self.workdir,
            user: self.user,
            tty: self.tty,
            console_size: terminal::size(),
            stdio: if self.tty { None } else { Some(stdio(self.interactive, self.detach)?) },
        })?;
        if self.detach {
            return Ok(0);
        }
        attach::exec(task, self.interactive)
    }
}

/// The program writes to the caller's own descriptors: nothing is copied on the way.
fn stdio(interactive: bool, detach: bool) -> Result<[OwnedFd; 3]> {
    let failed = |source: std::io::Error| Error::io("cannot pass standard input and output on", source);
    let null = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from).map_err(failed);
    let own = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned().map_err(failed);
    if detach {
        return Ok([null()?, null()?, null()?]);
    }
    let stdin = if interactive { own(&std::io::stdin())? } else { null()? };
    Ok([stdin, own(&std::io::stdout())?, own(&std::io::stderr())?])
}
