//! The project's own tool: `cargo xtask VERB`. One file a verb.

mod args;
mod artifacts;
mod packages;
mod repo;
mod run;
mod setup;
mod steps;
mod tidy;
mod vm;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words = args::Xtask::parse();
    let result = match words.verb {
        args::Verb::Setup { groups } => setup::run(&groups).map(|_| 0),
        args::Verb::Vm { release, command } => vm::run(&release, &command),
        args::Verb::Tidy => tidy::run(),
        _ => Ok(1),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("cause: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}
