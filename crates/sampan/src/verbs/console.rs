//! `console` and `attach`.

use crate::attach;
use clap::Args;
use sampan_engine::Engine;
use sampan_types::{
    Error, ErrorKind, Result,
    ops::{AttachContainer, Execute},
};

/// Connect to the terminal of a system container; Ctrl-P Ctrl-Q leaves it.
#[derive(Debug, Args)]
pub(crate) struct Console {
    /// Name or id
    container: String,
}

/// Connect to the input and output of a container; with a terminal, Ctrl-P Ctrl-Q leaves it.
#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// Only look: do not pass input on
    #[arg(long)]
    no_stdin: bool,
    /// Name or id
    container: String,
}

impl Console {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        let task = engine.execute(AttachContainer { container: self.container.clone(), stdin: true })?;
        if !task.tty {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("cannot open the console of {}", self.container),
            )
            .because("it runs without a terminal")
            .hint(format!("sampan attach {}", self.container)));
        }
        eprintln!("connected to {}; leave with Ctrl-P Ctrl-Q", self.container);
        attach::foreground(engine, task, false)
    }
}

impl Attach {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        let task = engine.execute(AttachContainer { container: self.container, stdin: !self.no_stdin })?;
        attach::foreground(engine, task, false)
    }
}
