//! `state`: what a container is and where it stands.

use crate::oci::{
    call::Call,
    command::{Command, Count, PLAIN},
    global::show,
    kept::Held,
    place::Lock,
    words::{Order, Words},
};
use sampan_types::{Error, ErrorKind, Result};
use std::process::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "state",
    summary: "show the state of a container",
    operands: "<container-id>",
    count: Count::Exactly(1),
    about: "\
Shows a container as JSON: its status (created, running, paused, stopped), its
first process, its bundle, its annotations.
",
    flags: &[],
    order: Order::Anywhere,
    failure: PLAIN,
    enters: false,
    run,
};

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    let shown = Held::open(call, words.id(), Lock::None)?.shown(String::new())?;
    let text = serde_json::to_string_pretty(&shown)
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot write the state").because(error))?;
    show(&text);
    Ok(ExitCode::SUCCESS)
}
