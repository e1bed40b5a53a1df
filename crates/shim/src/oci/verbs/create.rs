//! `create`: a container at its *created* point, left for `start`.

use crate::oci::{
    call::Call,
    command::{Command, Count, Failure},
    launch::{self, Launched, Life},
    words::{Order, Words},
};
use sampan_types::Result;
use std::process::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "create",
    summary: "create a container",
    operands: "<container-id>",
    count: Count::Exactly(1),
    about: "\
Makes the container that the bundle's config.json describes, and leaves its
program to \"start\". The id must be new. Later changes of config.json have no
effect on it.
",
    flags: &[
        launch::BUNDLE,
        launch::CONSOLE_SOCKET,
        launch::PIDFD_SOCKET,
        launch::PID_FILE,
        launch::NO_PIVOT,
        launch::NO_NEW_KEYRING,
        launch::PRESERVE_FDS,
    ],
    order: Order::Anywhere,
    failure: Failure { prefix: "sampan-runc create failed: ", code: 1 },
    enters: true,
    run,
};

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    let Launched { place, container, .. } = launch::launch(call, words, Life::Waiting)?;
    // Only now that all is written down may its creator go.
    container.detach()?;
    drop(place);
    Ok(ExitCode::SUCCESS)
}
