//! The `sampan` command: words to operations, outputs to text. Everything else is the engine's.

mod attach;
mod cli;
mod escape;
mod frames;
mod render;
mod signals;
mod terminal;
mod verbs;
mod wiring;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // Docker's code for words it does not understand; help and version are no failure.
            return ExitCode::from(if error.use_stderr() { 125 } else { 0 });
        }
    };
    let exit_code = cli.exit_codes();
    match cli.run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            render::error(&error);
            ExitCode::from(exit_code(error.kind()))
        }
    }
}
