//! `run`: create and start in one, and as a rule stay until the program ends.

use super::start::{not_run, start};
use crate::oci::{
    attend::Attendance,
    call::Call,
    command::{Command, Count, Failure},
    launch::{self, Launched, Life},
    notify::Relay,
    place::{Lock, Place, STATE},
    remove::{remove, undo},
    terminal::Terminal,
    words::{Flag, Order, Words},
};
use sampan_runtime::Container;
use sampan_types::Result;
use std::process::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "run",
    summary: "create and run a container",
    operands: "<container-id>",
    count: Count::Exactly(1),
    about: "\
Makes the container that the bundle's config.json describes and runs its
program. Without --detach it passes on signals, ends with the program's exit
code (128+n after signal n), and removes the container.
",
    flags: &[
        launch::BUNDLE,
        launch::CONSOLE_SOCKET,
        launch::PIDFD_SOCKET,
        launch::DETACH,
        Flag::switch("keep", "do not remove the container when its program has ended"),
        launch::PID_FILE,
        Flag::switch("no-subreaper", "leave orphans of the container to somebody else"),
        launch::NO_PIVOT,
        launch::NO_NEW_KEYRING,
        launch::PRESERVE_FDS,
    ],
    order: Order::Anywhere,
    failure: Failure { prefix: "sampan-runc run failed: ", code: 1 },
    enters: true,
    run,
};

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    if words.switch("detach") {
        let Launched { place, mut container, .. } = launch::launch(call, words, Life::Detached)?;
        // Hooks of its start may exec in it.
        place.share();
        return match start(&place, &mut container) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => not_run(undo(call, container, place, error)),
        };
    }
    let attendance = Attendance::begin(!words.switch("no-subreaper"))?;
    let Launched { place, mut container, console } = launch::launch(call, words, Life::Attended)?;
    place.share();
    let started = console.map(Terminal::new).transpose().and_then(|terminal| {
        let relay = Relay::open(&place)?;
        container.start()?;
        Ok((terminal, relay))
    });
    let (terminal, relay) = match started {
        Ok(started) => started,
        Err(error) => return not_run(undo(call, container, place, error)),
    };
    stay(call, attendance, place, container, (terminal, relay), words.switch("keep"))
}

/// Waits for the end of a container that runs, and removes it unless it is to be kept.
pub(super) fn stay(
    call: &Call,
    attendance: Attendance,
    mut place: Place,
    container: Container,
    (terminal, relay): (Option<Terminal>, Option<Relay>),
    keep: bool,
) -> Result<ExitCode> {
    // From here on others may exec, kill or delete it.
    place.unlock();
    let code = match container.pidfd() {
        Some(pidfd) => attendance.wait(container.pid(), pidfd, terminal, relay)?,
        None => 0,
    };
    if !keep {
        finish(call, container, place)?;
    }
    Ok(ExitCode::from(code))
}

fn finish(call: &Call, container: Container, place: Place) -> Result<()> {
    let place = place.lock(Lock::Alone)?;
    // Somebody else may have deleted it at its end.
    if place.has(STATE) { remove(call, container, place) } else { Ok(()) }
}
