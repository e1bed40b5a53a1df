//! The project's own tool: `cargo xtask VERB`. One file a verb.

mod args;
mod artifacts;
mod bench;
mod conformance;
mod demo;
mod images;
mod mirror;
mod outcome;
mod packages;
mod peers;
mod repo;
mod run;
mod setup;
mod steps;
mod test;
mod tidy;
mod vm;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words = args::Xtask::parse();
    let result = match words.verb {
        args::Verb::Setup { groups } => setup::run(&groups).map(|_| 0),
        args::Verb::Demo { keep } => demo::run(keep),
        args::Verb::Test { lane, filter } => test::run(lane, filter.as_deref()),
        args::Verb::Conformance { filter } => conformance::run(filter.as_deref()),
        args::Verb::Tidy => tidy::run(),
        args::Verb::Vm { release, command } => vm::run(&release, &command),
        args::Verb::Bench { what, rounds, install } => bench::run(what, rounds, install),
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
