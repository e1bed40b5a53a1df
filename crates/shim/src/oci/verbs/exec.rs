//! `exec`: another program in a container.

use crate::oci::{
    attend::Attendance,
    call::Call,
    command::{Command, Count, Failure},
    kept::Held,
    launch::{self, not_started},
    outlet::Outlets,
    passed::Passed,
    place::Lock,
    terminal::Terminal,
    words::{Flag, Kind, Order, Words},
};
use rustix::{
    fd::AsFd as _,
    process::{Signal, WaitId, WaitIdOptions, waitid},
};
use sampan_runtime::{ExecOptions, Stdio, cgroup::SubGroups};
use sampan_types::{Error, ErrorKind, Result, spec::Process, spec::Status};
use std::process::ExitCode;

mod process;

pub(super) const COMMAND: Command = Command {
    name: "exec",
    summary: "run another program in a container",
    operands: "<container-id> <command> [argument...] | --process FILE <container-id>",
    count: Count::AtLeast(1),
    about: "\
Runs a program beside the container's first process, as the container's own
configuration says or as FILE says, and ends with its exit code. Everything
after the id belongs to the program.

    # sampan-runc exec box ps -ef
",
    flags: &[
        launch::CONSOLE_SOCKET,
        launch::PIDFD_SOCKET,
        Flag::text("cwd", "working directory in the container"),
        Flag::new(Kind::List, "env", "environment variable, NAME=VALUE").short("e"),
        Flag::switch("tty", "give it a terminal").short("t"),
        Flag::text("user", "user and group by number: UID[:GID]").short("u"),
        Flag::new(Kind::Integers, "additional-gids", "one more group, by number").short("g"),
        Flag::text("process", "file with the process as JSON").short("p"),
        launch::DETACH,
        launch::PID_FILE,
        Flag::text("process-label", "SELinux label of the process"),
        Flag::text("apparmor", "AppArmor profile of the process"),
        Flag::switch("no-new-privs", "the process can never gain privileges"),
        Flag::new(Kind::List, "cap", "one more capability").short("c"),
        launch::PRESERVE_FDS,
        Flag::new(
            Kind::List,
            "cgroup",
            "control group below the container's: [CONTROLLER[,CONTROLLER...]:]PATH",
        ),
        Flag::switch("ignore-paused", "also in a paused container: it runs when that goes on"),
        Flag::switch("no-subreaper", "").hidden(),
    ],
    order: Order::First,
    failure: Failure { prefix: "exec failed: ", code: 255 },
    enters: true,
    run,
};

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    let passed = Passed::read(words)?;
    let mut held = Held::open(call, words.id(), Lock::Shared)?;
    match held.container.status()? {
        Status::Stopped => return Err(conflict("cannot exec in a stopped container")),
        Status::Paused if !words.switch("ignore-paused") => {
            return Err(conflict("cannot exec in a paused container (use --ignore-paused to override)"));
        }
        _ => {}
    }
    let mut process = process::described(words, held.spec.process.as_ref())?;
    process.env.extend(passed.environment());
    let detached = words.switch("detach");
    let outlets = Outlets::open(words, process.terminal, detached)?;
    let attendance = (!detached).then(|| Attendance::begin(false)).transpose()?;
    let options = ExecOptions {
        preserve_fds: passed.count,
        keep_newlines: !detached,
        ignore_paused: words.switch("ignore-paused"),
        cgroup: SubGroups::parse(&words.all("cgroup").collect::<Vec<_>>())?,
    };
    let exec = held.container.exec(&process, stdio(&process, detached), &options).map_err(not_started)?;
    exec.warnings.iter().for_each(|warning| call.log.warning(warning));
    // It has joined: what happens to the container happens to it.
    held.place.unlock();
    let told = outlets.console(exec.console).and_then(|console| {
        outlets.process(exec.pid, exec.pidfd.as_fd())?;
        console.map(Terminal::new).transpose()
    });
    let terminal = told.inspect_err(|_| {
        // Nobody would know of it, and unreaped it would hold up the container's end.
        let _ = sampan_sys::pidfd::send_signal(&exec.pidfd, Signal::KILL.as_raw());
        let _ = waitid(WaitId::PidFd(exec.pidfd.as_fd()), WaitIdOptions::EXITED);
    })?;
    match attendance {
        Some(attendance) => attendance.wait(exec.pid, exec.pidfd.as_fd(), terminal, None).map(ExitCode::from),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// A terminal that is shown on the caller's has its size, before the program can ask for it.
fn stdio(process: &Process, detached: bool) -> Stdio {
    if !process.terminal {
        return Stdio::Inherit;
    }
    let own = process.console_size;
    Stdio::Console { size: if detached { own } else { Terminal::callers_size().or(own) } }
}

fn conflict(what: &str) -> Error {
    Error::new(ErrorKind::Conflict, what)
}
