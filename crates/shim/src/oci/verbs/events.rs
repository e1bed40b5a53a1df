//! `events`: what a container uses, again and again, and when it has run out of memory.

use crate::oci::{
    call::Call,
    command::{Command, Count, PLAIN},
    kept::Held,
    place::Lock,
    words::{Flag, Kind, Order, Words},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd as _, BorrowedFd},
    io::Errno,
};
use sampan_runtime::cgroup::{OomEvent, OomWatch, Stats};
use sampan_types::{Error, ErrorKind, Result, spec::Status};
use serde::Serialize;
use std::{
    io::Write as _,
    process::ExitCode,
    time::{Duration, Instant},
};

pub(super) const COMMAND: Command = Command {
    name: "events",
    summary: "show what a container uses, and when it runs out of memory",
    operands: "<container-id>",
    count: Count::Exactly(1),
    about: "\
Shows lines of JSON until the container ends: of type \"stats\" once in every
interval, and of type \"oom\" whenever the kernel finds no memory for it.
",
    flags: &[
        Flag::new(Kind::Duration, "interval", "time from one line to the next").default("5s"),
        Flag::switch("stats", "show what is used now, once"),
    ],
    order: Order::Anywhere,
    failure: PLAIN,
    enters: false,
    run,
};

const INTERVAL: Duration = Duration::from_secs(5);

/// A line of output, in the order of keys that callers know.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Stats>,
}

fn run(call: &Call, words: &Words) -> Result<ExitCode> {
    let held = Held::open(call, words.id(), Lock::None)?;
    let interval = words.duration("interval").unwrap_or(INTERVAL);
    if interval.is_zero() {
        return Err(Error::new(ErrorKind::InvalidInput, "duration interval must be greater than 0"));
    }
    let (Some(init), true) = (held.container.pidfd(), held.container.status()? != Status::Stopped) else {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("container with id {} is not running", words.id()),
        ));
    };
    if words.switch("stats") {
        tell(words.id(), "stats", Some(held.container.cgroup().stats()?))?;
    } else {
        follow(&held, init, interval, words.id())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Until the container ends, or nobody reads any more.
fn follow(held: &Held, init: BorrowedFd<'_>, interval: Duration, id: &str) -> Result<()> {
    // Where memory is not accounted for, there is nothing to hear of it.
    let mut memory = match held.container.cgroup().oom_watch() {
        Ok(watch) => Some(watch),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut next = Instant::now() + interval;
    loop {
        let ended = wait(memory.as_ref(), init, next)?;
        match memory.as_mut().map(OomWatch::read).transpose()? {
            Some(OomEvent::OutOfMemory) if !tell(id, "oom", None)? => return Ok(()),
            Some(OomEvent::Ended) => memory = None,
            _ => {}
        }
        if ended {
            return Ok(());
        }
        if Instant::now() >= next {
            next += interval;
            if !tell(id, "stats", Some(held.container.cgroup().stats()?))? {
                return Ok(());
            }
        }
    }
}

/// Sleeps until there is something to tell; true when the container has ended.
fn wait(memory: Option<&OomWatch>, init: BorrowedFd<'_>, until: Instant) -> Result<bool> {
    let mut entries = vec![PollFd::from_borrowed_fd(init, PollFlags::IN)];
    entries.extend(memory.map(|watch| PollFd::from_borrowed_fd(watch.as_fd(), PollFlags::IN)));
    let left = until.saturating_duration_since(Instant::now());
    let limit = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
    match poll(&mut entries, Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(Error::io("cannot wait for events", errno.into())),
    }
    Ok(entries.first().is_some_and(|entry| !entry.revents().is_empty()))
}

/// One line; false when nobody reads any more.
fn tell(id: &str, kind: &str, data: Option<Stats>) -> Result<bool> {
    let text = serde_json::to_string(&Event { kind, id, data })
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot write an event").because(error))?;
    let mut out = std::io::stdout().lock();
    Ok(writeln!(out, "{text}").and_then(|()| out.flush()).is_ok())
}
