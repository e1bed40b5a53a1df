//! `restore`: a container from the files of a checkpoint.

use super::run::stay;
use crate::oci::{
    attend::Attendance,
    call::Call,
    command::{Command, Count, PLAIN},
    criu,
    launch::{self, Launched, Life},
    notify::Relay,
    remove::undo,
    terminal::Terminal,
    words::{Flag, Order, Words},
};
use sampan_runtime::checkpoint::{self, RestoreOptions};
use sampan_types::{Error, Result};
use std::process::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "restore",
    summary: "make a container from a checkpoint",
    operands: "<container-id>",
    count: Count::Exactly(1),
    about: "\
Makes a container from the images that \"checkpoint\" has saved, with the bundle
that it had, and lets it go on. Without --detach it ends with the program's exit
code, and removes the container, as \"run\" does. CRIU is needed.
",
    flags: &[
        launch::CONSOLE_SOCKET,
        Flag::text("image-path", "directory of the images; \"checkpoint\" where not given"),
        criu::WORK_PATH,
        criu::TCP_ESTABLISHED,
        criu::EXT_UNIX_SK,
        criu::SHELL_JOB,
        criu::FILE_LOCKS,
        criu::MANAGE_CGROUPS,
        launch::BUNDLE,
        launch::DETACH,
        launch::PID_FILE,
        Flag::switch("no-subreaper", "leave orphans of the container to somebody else"),
        launch::NO_PIVOT,
        criu::EMPTY_NS,
        criu::AUTO_DEDUP,
        criu::LAZY_PAGES,
        Flag::text("lsm-profile", "TYPE:NAME of a security profile in place of the one that was"),
        Flag::text("lsm-mount-context", "SELinux label of mounts in place of the one that was"),
    ],
    order: Order::Anywhere,
    failure: PLAIN,
    enters: false,
    run,
};

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    let options = RestoreOptions {
        criu: criu::options(call, words)?,
        lsm_profile: words.text("lsm-profile").map(str::to_owned),
        lsm_mount_context: words.text("lsm-mount-context").map(str::to_owned),
        ..RestoreOptions::default()
    };
    let restore = |life| {
        launch::launch_by(call, words, life, |place, bundle, stdio, with| {
            let scratch = place.path("root");
            let failed = |error| Error::io(format!("mkdir {}", scratch.display()), error);
            std::fs::create_dir(&scratch).map_err(failed)?;
            let options = RestoreOptions { scratch: scratch.clone(), ..options };
            let restored = checkpoint::restore(bundle, stdio, with, &options);
            // What was mounted there was seen by CRIU alone. Where it is not empty, it is left to who looks into that.
            let _ = std::fs::remove_dir(&scratch);
            restored
        })
    };
    if words.switch("detach") {
        return restore(Life::Detached).map(|_| ExitCode::SUCCESS);
    }
    let attendance = Attendance::begin(!words.switch("no-subreaper"))?;
    let Launched { place, container, console } = restore(Life::Attended)?;
    let shown =
        console.map(Terminal::new).transpose().and_then(|terminal| Ok((terminal, Relay::open(&place)?)));
    match shown {
        Ok(shown) => stay(call, attendance, place, container, shown, false),
        Err(error) => Err(undo(call, container, place, error)),
    }
}
