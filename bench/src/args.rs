//! The words of the bench program.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Measures Sampan and its peers side by side.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// What to measure
    #[arg(value_enum)]
    pub(crate) what: Measure,
    /// The `sampan` program, its shim beside it
    #[arg(long)]
    pub(crate) sampan: PathBuf,
    /// How many times each contender runs
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How many rounds run before the clock counts
    #[arg(long, default_value_t = 3)]
    pub(crate) warm_up: u32,
    /// Says that the namespaces are made already: the program calls itself with this
    #[arg(long, hide = true)]
    pub(crate) confined: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// A bare bundle: run; create, start and delete; exec; a hundred at once.
    Oci,
    /// From the command to the end of `true`, without and with network.
    Start,
    /// A command in a container that runs.
    Exec,
    /// Memory of the processes beside an idle container.
    Memory,
}
