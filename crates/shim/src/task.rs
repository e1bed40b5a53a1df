//! A task: one container's running process tree, from its creation to its end.
//!
//! [`Task`] holds all there is and runs one loop: it asks every part what it waits for ([`poll`]), sleeps until
//! something of that comes, and lets the part act. Nothing in the loop blocks, except what the runtime does (create,
//! start, exec: milliseconds).

mod create;
mod ending;
mod independence;
mod output;
mod poll;
mod refuse;
mod requests;

use crate::{
    attacher::Attacher, bundle::Bundle, connection::Connection, exec::Exec, json_log::JsonLog,
    oom::OomProtection, restarts::Restarts, streams::Streams,
};
use rustix::{fd::OwnedFd, io::Errno, net::SocketFlags};
use sampan_runtime::Container;
use sampan_types::{
    Result,
    task::{TaskState, TaskStatus},
};
use std::{
    collections::BTreeMap,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use create::Held;

pub(crate) use create::run;

/// Bytes read at once: half of what a pipe holds.
const CHUNK: usize = 32 * 1024;

/// The whole state of a shim.
#[derive(Debug)]
pub(crate) struct Task {
    bundle: Bundle,
    state: TaskState,
    /// `None` once it is over and its control group is removed.
    container: Option<Container>,
    held: Held,
    streams: Streams,
    log: Option<JsonLog>,
    attachers: Vec<Attacher>,
    listener: OwnedFd,
    connections: Vec<Connection>,
    connected: u64,
    /// When new clients are taken again, after descriptors had run out.
    accept_at: Option<Instant>,
    execs: BTreeMap<u32, Exec>,
    exec_count: u32,
    /// A stop was asked for: a reboot does not start init again.
    stopping: bool,
    /// When patience with a stop ends.
    kill_at: Option<Instant>,
    restarts: Restarts,
    /// A client has tidied: `on_exit` is not needed.
    cleaned: bool,
    oom: OomProtection,
    buffer: Vec<u8>,
}

impl Task {
    /// Runs until the container has ended and nobody is owed anything, then becomes `on_exit` where nobody has tidied.
    fn run(mut self) -> Result<ExitCode> {
        while !self.is_over() {
            for (source, flags) in self.wait()? {
                self.handle(source, flags);
            }
            self.check_time(Instant::now());
            self.forget_gone();
        }
        self.finish()
    }

    /// Init has ended, the clients have got their output, and who promised to tidy has done so or gone.
    fn is_over(&self) -> bool {
        let cleaner = !self.cleaned && self.connections.iter().any(|connection| connection.cleans);
        self.state.status == TaskStatus::Stopped
            && self.attachers.is_empty()
            && self.execs.is_empty()
            && !cleaner
    }

    /// Takes waiting clients of `shim.sock`. The socket's mode lets only its owner connect.
    fn accept(&mut self) {
        loop {
            match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    self.connected += 1;
                    self.connections.extend(Connection::new(self.connected, socket, false).ok());
                }
                Err(Errno::AGAIN) => return,
                // The client went before it was taken.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                // Descriptors or memory have run out: poll would report the waiting client again and again.
                Err(_) => {
                    self.accept_at = Some(Instant::now() + Duration::from_millis(100));
                    return;
                }
            }
        }
    }

    /// Acts on what has become due.
    fn check_time(&mut self, now: Instant) {
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            self.kill_init();
        }
        self.accept_at = self.accept_at.filter(|at| *at > now);
        for attacher in &mut self.attachers {
            if attacher.deadline().is_some_and(|at| at <= now) {
                attacher.drop_client();
            }
        }
    }

    /// Drops clients that have gone. Where the engine goes before it has started the container, nobody else will.
    fn forget_gone(&mut self) {
        self.attachers.retain(|attacher| !attacher.is_gone());
        let mut abandoned = false;
        self.connections.retain(|connection| {
            abandoned |= connection.is_closed() && connection.is_origin;
            !connection.is_closed()
        });
        if abandoned && self.state.status == TaskStatus::Created {
            self.stopping = true;
            self.kill_init();
        }
    }

    fn finish(self) -> Result<ExitCode> {
        sampan_sys::failpoint("shim.before_on_exit");
        let Self { bundle, state, cleaned, oom, .. } = self;
        match bundle.task.on_exit.split_first() {
            Some((program, arguments)) if !cleaned => Err(oom.lifted(|| become_program(program, arguments))),
            _ => {
                bundle.retire(state.shim);
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// What starting a process needed is not needed for waiting: two thirds of the shim's memory. A refusal costs only that.
fn rest() {
    let _ = sampan_sys::memory::release_program_pages();
}

/// Runs a program in this process's place. Returns only where that fails. Descriptors are all `CLOEXEC`; standard error
/// stays the shim's log.
pub(crate) fn become_program(program: &str, arguments: &[String]) -> sampan_types::Error {
    use std::os::unix::process::CommandExt as _;
    let error = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).exec();
    sampan_types::Error::io(format!("cannot run {program}"), error)
}
