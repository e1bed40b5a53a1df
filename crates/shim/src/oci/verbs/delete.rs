//! `delete`: what is left of a container.

use crate::oci::{
    call::Call,
    command::{Command, Count, PLAIN},
    kept::{Held, word},
    place::Lock,
    remove,
    words::{Flag, Order, Words},
};
use sampan_types::{Error, ErrorKind, Result, spec::Status};
use std::process::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "delete",
    summary: "remove a container that has stopped",
    operands: "<container-id>",
    count: Count::Exactly(1),
    about: "\
Removes the control group and the state of a container that has stopped, or
that was never started, and runs its poststop hooks.
",
    flags: &[
        Flag::switch("force", "kill what still runs; no error where there is no such container").short("f")
    ],
    order: Order::Anywhere,
    failure: PLAIN,
    enters: false,
    run,
};

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    if words.switch("force") {
        remove::force(call, words.id())?;
        return Ok(ExitCode::SUCCESS);
    }
    let held = Held::open(call, words.id(), Lock::Alone)?;
    match held.container.status()? {
        Status::Stopped | Status::Created => {
            remove::remove(call, held.container, held.place)?;
            Ok(ExitCode::SUCCESS)
        }
        status => Err(Error::new(
            ErrorKind::Conflict,
            format!("cannot delete container {} that is not stopped: {}", words.id(), word(status)),
        )),
    }
}
