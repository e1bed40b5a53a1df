//! `start`: the program of a created container.

use crate::oci::{
    call::Call,
    command::{Command, Count, PLAIN},
    kept::Held,
    notify::Relay,
    place::{Lock, Place},
    tell,
    words::{Order, Words},
};
use sampan_runtime::Container;
use sampan_types::{Error, ErrorKind, Result, spec::Status};
use std::process::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "start",
    summary: "run the program of a created container",
    operands: "<container-id>",
    count: Count::Exactly(1),
    about: "\
Has a container that \"create\" made run its program. A container is started
once.
",
    flags: &[],
    order: Order::Anywhere,
    failure: PLAIN,
    enters: false,
    run,
};

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    // Shared, since hooks may call this program: that it is started once is the gate's affair.
    let mut held = Held::open(call, words.id(), Lock::Shared)?;
    match held.container.status()? {
        Status::Created => {
            start(&held.place, &mut held.container).map(|()| ExitCode::SUCCESS).or_else(not_run)
        }
        Status::Stopped => Err(conflict("cannot start a container that has stopped")),
        Status::Running => Err(conflict("cannot start an already running container")),
        status => Err(conflict(&format!(
            "cannot start a container in the {} state",
            crate::oci::kept::word(status)
        ))),
    }
}

fn conflict(what: &str) -> Error {
    Error::new(ErrorKind::Conflict, what)
}

/// Runs the program, for a caller that will not stay: where a supervisor waits for the container to be ready, so does this.
pub(super) fn start(place: &Place, container: &mut Container) -> Result<()> {
    let relay = Relay::open(place)?;
    container.start()?;
    match (relay, container.pidfd()) {
        (Some(relay), Some(pidfd)) => relay.wait(container.pid(), pidfd),
        _ => Ok(()),
    }
}

/// What runc gives where the program, found before, cannot be run.
const NOT_RUN: u8 = 255;

/// That a program cannot be run is told in one bare line, as the program's own last word would be; other failures as all are.
pub(super) fn not_run(error: Error) -> Result<ExitCode> {
    let Some(line) = tell::not_run(&error) else { return Err(error) };
    eprintln!("{}", tell::plain(&line));
    Ok(ExitCode::from(NOT_RUN))
}
