//! `start`.

use crate::{attach, terminal};
use clap::Args;
use sampan_engine::Engine;
use sampan_types::{
    Error, ErrorKind, Result,
    ops::{Execute, StartContainer},
};

/// Start containers that are created or have ended.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Connect to its output, and pass signals on
    #[arg(short = 'a', long)]
    attach: bool,
    /// Connect to its input too
    #[arg(short = 'i', long)]
    interactive: bool,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Start {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        if !self.attach && !self.interactive {
            return super::each(&self.containers, |container| {
                let container = container.to_owned();
                engine.execute(StartContainer { container, attach: false, console_size: None }).map(drop)
            });
        }
        let [container] = &self.containers[..] else {
            return Err(Error::new(ErrorKind::InvalidInput, "cannot attach to several containers at once"));
        };
        let container = container.clone();
        let mut task =
            engine.execute(StartContainer { container, attach: true, console_size: terminal::size() })?;
        task.stdin_open &= self.interactive;
        attach::foreground(engine, task, false)
    }
}
