//! `pause`: every process of a container stops where it is.

use crate::oci::{
    call::Call,
    command::{Command, Count, PLAIN},
    kept::Held,
    place::Lock,
    words::{Order, Words},
};
use sampan_types::{Error, ErrorKind, Result, spec::Status};
use std::process::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "pause",
    summary: "suspend all processes of a container",
    operands: "<container-id>",
    count: Count::Exactly(1),
    about: "Stops every process of a container where it is, until \"resume\".\n",
    flags: &[],
    order: Order::Anywhere,
    failure: PLAIN,
    enters: false,
    run,
};

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    let held = Held::open(call, words.id(), Lock::Shared)?;
    match held.container.status()? {
        Status::Running | Status::Created => held.container.cgroup().freeze().map(|()| ExitCode::SUCCESS),
        _ => Err(Error::new(ErrorKind::Conflict, "container not running")),
    }
}
