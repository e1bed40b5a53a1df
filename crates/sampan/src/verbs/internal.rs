//! What Sampan's own processes call.

use clap::Subcommand;
use sampan_engine::Engine;
use sampan_types::{
    ContainerId, Result,
    ops::{CleanUpContainer, Execute},
};
use std::path::PathBuf;

/// What Sampan's own processes call.
#[derive(Debug, Subcommand)]
pub(crate) enum Internal {
    /// Tidy after a container that has ended (what its shim becomes)
    CleanUp {
        /// Id
        id: ContainerId,
    },
    /// Serve names and addresses of an engine's networks
    Names {
        /// The folder in which they are published
        dir: PathBuf,
    },
}

impl Internal {
    pub(crate) fn run(self, engine: &Engine) -> Result<u8> {
        match self {
            Self::CleanUp { id } => engine.execute(CleanUpContainer { id }).map(|()| 0),
            Self::Names { dir } => sampan_names::run(&dir).map(|()| 0),
        }
    }
}
