//! `resume`: a paused container goes on.

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
    name: "resume",
    summary: "let a paused container go on",
    operands: "<container-id>",
    count: Count::Exactly(1),
    about: "Lets the processes of a container that \"pause\" has stopped go on.\n",
    flags: &[],
    order: Order::Anywhere,
    failure: PLAIN,
    enters: false,
    run,
};

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    let held = Held::open(call, words.id(), Lock::Shared)?;
    match held.container.status()? {
        Status::Paused => held.container.cgroup().thaw().map(|()| ExitCode::SUCCESS),
        _ => Err(Error::new(ErrorKind::Conflict, "container not paused")),
    }
}
