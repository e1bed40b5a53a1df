//! `rm`.

use clap::Args;
use sampan_engine::Engine;
use sampan_types::{
    ErrorKind, Result,
    ops::{Execute, RemoveContainer},
};

/// Remove containers with their writable layer, log and address.
#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Kill running ones first; do not mind missing ones
    #[arg(short = 'f', long)]
    force: bool,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Rm {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        super::each(&self.containers, |container| {
            match engine.execute(RemoveContainer { container: container.to_owned(), force: self.force }) {
                Err(error) if self.force && error.kind() == ErrorKind::NotFound => Ok(()),
                result => result,
            }
        })
    }
}
