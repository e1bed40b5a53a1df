//! `kill`: a signal for a container.

use crate::oci::{
    call::Call,
    command::{Command, Count, PLAIN},
    kept::Held,
    place::Lock,
    words::{Flag, Order, Words},
};
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open},
};
use sampan_types::{
    Error, ErrorKind, Result, parse_signal,
    spec::{NamespaceKind, Status},
};
use std::process::ExitCode;

pub(super) const COMMAND: Command = Command {
    name: "kill",
    summary: "send a signal (TERM where none is named) to a container's first process",
    operands: "<container-id> [signal]",
    count: Count::Between(1, 2),
    about: "\
A signal is a name with or without SIG (KILL, SIGTERM, RTMIN+3) or a number.
A container that has been created may be killed before it is started.

    # sampan-runc kill box KILL
",
    flags: &[Flag::switch("all", "send it to every process of the container").short("a").hidden()],
    order: Order::Anywhere,
    failure: PLAIN,
    enters: false,
    run,
};

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    let held = Held::open(call, words.id(), Lock::None)?;
    let name = words.arguments.get(1).map_or("TERM", String::as_str);
    let signal = match name {
        // kill(2): nothing is sent, but whether it could be is told.
        "0" => 0,
        name => parse_signal(name)
            .map_err(|_| Error::new(ErrorKind::InvalidInput, format!("unknown signal {name:?}")))?,
    };
    if words.switch("all") {
        all(&held, signal)?;
    } else {
        first(&held, signal)?;
    }
    if signal == Signal::KILL.as_raw() {
        thaw(&held)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn first(held: &Held, signal: i32) -> Result<()> {
    held.require_alive()?;
    if signal == Signal::KILL.as_raw() && !has_own_processes(held) {
        // Where the first process is not the init of its namespace, the others would live on.
        return held.container.kill_all();
    }
    let Some(pidfd) = held.container.pidfd() else { return Err(not_running()) };
    send(pidfd, signal)
}

/// Whether it has a process namespace that is its alone.
fn has_own_processes(held: &Held) -> bool {
    let namespaces = held.spec.linux.iter().flat_map(|linux| &linux.namespaces);
    namespaces.into_iter().any(|namespace| namespace.kind == NamespaceKind::Pid && namespace.path.is_none())
}

fn all(held: &Held, signal: i32) -> Result<()> {
    if signal == Signal::KILL.as_raw() {
        return held.container.kill_all();
    }
    for pid in held.container.cgroup().pids()? {
        let Some(pid) = Pid::from_raw(pid) else { continue };
        // What has ended since it was listed needs no signal.
        if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
            let _ = send(&pidfd, signal);
        }
    }
    Ok(())
}

/// In a paused version 1 group not even `SIGKILL` arrives.
fn thaw(held: &Held) -> Result<()> {
    if held.container.status()? == Status::Paused { held.container.cgroup().thaw() } else { Ok(()) }
}

fn send(process: impl rustix::fd::AsFd, signal: i32) -> Result<()> {
    sampan_sys::pidfd::send_signal(process, signal).map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::SRCH) => not_running(),
        _ => Error::io(format!("send signal {signal}"), error),
    })
}

fn not_running() -> Error {
    Error::new(ErrorKind::Conflict, "container not running")
}
