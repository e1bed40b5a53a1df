//! The words of the command line.

use crate::{verbs, wiring};
use clap::{Parser, Subcommand};
use sampan_types::{ErrorKind, Result};
use std::path::PathBuf;

/// Containers for programs and for whole systems, in one engine.
#[derive(Debug, Parser)]
#[command(name = "sampan", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Folder of everything that stays: images, snapshots, records
    #[arg(long, global = true, env = "SAMPAN_ROOT", value_name = "DIR", default_value = sampan_engine::DEFAULT_ROOT)]
    root: PathBuf,
    /// Folder of everything that is gone at boot: sockets, states
    #[arg(long, global = true, env = "SAMPAN_RUN", value_name = "DIR", default_value = sampan_engine::DEFAULT_RUN)]
    run: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a container and run its program
    Run(verbs::run::Run),
    /// Create a system container and start it: run -d --type system
    Launch(verbs::run::Launch),
    /// Create a container without starting it
    Create(verbs::run::Create),
    /// Start containers that are created or have ended
    Start(verbs::start::Start),
    /// Stop containers
    Stop(verbs::stop::Stop),
    /// Stop and start containers
    Restart(verbs::stop::Restart),
    /// Send a signal to containers
    Kill(verbs::stop::Kill),
    /// Remove containers
    Rm(verbs::rm::Rm),
    /// List containers
    #[command(visible_alias = "ls")]
    Ps(verbs::ps::Ps),
    /// Show the output of a container
    Logs(verbs::logs::Logs),
    /// Run another program in a container
    Exec(verbs::exec::Exec),
    /// Connect to the terminal of a system container
    Console(verbs::console::Console),
    /// Connect to the input and output of a container
    Attach(verbs::console::Attach),
    /// Wait until containers have ended; print their exit codes
    Wait(verbs::stop::Wait),
    /// Stop all containers and take the engine's networks off the host
    Shutdown(verbs::stop::Shutdown),
    /// Show everything known of containers, as JSON
    Inspect(verbs::inspect::Inspect),
    /// List images
    Images(verbs::image::Images),
    /// Remove images
    Rmi(verbs::image::Rmi),
    /// Make, list and remove images
    #[command(subcommand)]
    Image(verbs::image::Image),
    /// What Sampan's own processes call
    #[command(subcommand, hide = true)]
    Internal(verbs::internal::Internal),
}

impl Cli {
    /// The exit code for each kind of error. As Docker has it, `run` tells the engine's failures (125) and a program that cannot be
    /// run (126, 127) from whatever the program itself may give; other verbs just fail.
    pub(crate) fn exit_codes(&self) -> fn(ErrorKind) -> u8 {
        match &self.verb {
            Verb::Run(_) | Verb::Launch(_) => ErrorKind::exit_code,
            Verb::Exec(_) => |kind| match kind {
                ErrorKind::CommandNotFound | ErrorKind::NotExecutable => kind.exit_code(),
                _ => 1,
            },
            _ => |_| 1,
        }
    }

    /// Does what the words say; gives the exit code.
    pub(crate) fn run(self) -> Result<u8> {
        // These two must not open the engine's records: one only serves names, the other may find them damaged.
        if let Verb::Internal(verbs::internal::Internal::Names { dir }) = &self.verb {
            return sampan_names::run(dir).map(|()| 0);
        }
        let engine = wiring::engine(&self.root, &self.run)?;
        match self.verb {
            Verb::Run(verb) => verb.run(&engine),
            Verb::Launch(verb) => verb.run(&engine),
            Verb::Create(verb) => verb.run(&engine),
            Verb::Start(verb) => verb.run(&engine),
            Verb::Stop(verb) => verb.run(&engine),
            Verb::Restart(verb) => verb.run(&engine),
            Verb::Kill(verb) => verb.run(&engine),
            Verb::Rm(verb) => verb.run(&engine),
            Verb::Ps(verb) => verb.run(&engine),
            Verb::Logs(verb) => verb.run(&engine),
            Verb::Exec(verb) => verb.run(&engine),
            Verb::Console(verb) => verb.run(&engine),
            Verb::Attach(verb) => verb.run(&engine),
            Verb::Wait(verb) => verb.run(&engine),
            Verb::Shutdown(verb) => verb.run(&engine),
            Verb::Inspect(verb) => verb.run(&engine),
            Verb::Images(verb) => verb.run(&engine),
            Verb::Rmi(verb) => verb.run(&engine),
            Verb::Image(verb) => verb.run(&engine),
            Verb::Internal(verb) => verb.run(&engine),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
