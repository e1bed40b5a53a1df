//! What clients ask, and the answers.

use super::{Task, rest};
use crate::{connection::Received, exec::Exec, exit, streams};
use rustix::{
    event::PollFlags,
    fd::{BorrowedFd, OwnedFd},
};
use sampan_runtime::{Container, ExecOptions, Stdio};
use sampan_sys::pidfd;
use sampan_types::{
    Error, ErrorKind, Result, spec,
    task::{Failure, ProcessId, Reply, Request, TaskStatus},
};
use std::time::{Duration, Instant};

/// A reply with the descriptors that go along; `None` where the protocol has none.
type Answer = Result<Option<(Reply, Vec<OwnedFd>)>>;

fn plain(reply: Reply) -> Answer {
    Ok(Some((reply, Vec::new())))
}

impl Task {
    /// Something happened to a connection.
    pub(super) fn serve(&mut self, at: usize, flags: PollFlags) {
        let Some(connection) = self.connections.get_mut(at) else { return };
        connection.flush();
        if !flags.contains(PollFlags::IN) && flags.intersects(PollFlags::HUP | PollFlags::ERR) {
            connection.hang_up();
        }
        while flags.contains(PollFlags::IN) && !self.connections[at].is_behind() {
            match self.connections[at].receive() {
                Received::Request(request, fds) => self.answer(at, request, fds),
                Received::Nonsense(why) => {
                    let error =
                        Error::new(ErrorKind::InvalidInput, "cannot understand a request").because(why);
                    self.fail(at, &error);
                }
                Received::Nothing => break,
            }
        }
    }

    fn answer(&mut self, at: usize, request: Request, fds: Vec<OwnedFd>) {
        let starts = matches!(request, Request::Start | Request::Exec { .. });
        let answer = match request {
            Request::Start => self.start(at),
            Request::Attach { stdin } => {
                let client = self.attach(self.connections[at].is_origin, stdin);
                client.map(|client| Some((Reply::Attached, vec![client])))
            }
            Request::Exec { process } => self.exec(at, &process, fds),
            Request::Signal { signal, exec } => self.signal(signal, exec),
            Request::Stop { signal, timeout_ms } => self.stop(signal, timeout_ms),
            Request::Resize { exec, rows, cols } => self.resize(exec, rows, cols),
            Request::Wait { cleans } => self.wait_for_end(at, cleans),
            Request::Cleaned => self.clean(),
            Request::State => plain(Reply::State(self.state.clone())),
        };
        match answer {
            Ok(Some((reply, fds))) => self.connections[at].send(&reply, fds),
            Ok(None) => {}
            Err(error) => self.fail(at, &error),
        }
        if starts {
            rest();
        }
    }

    fn fail(&mut self, at: usize, error: &Error) {
        self.connections[at].send(&Reply::Failed(Failure::from(error)), Vec::new());
    }

    fn conflict(&self, verb: &str, why: &str) -> Error {
        let id = self.state.id.short();
        Error::new(ErrorKind::Conflict, format!("cannot {verb} container {id}")).because(why.to_owned())
    }

    /// A container that cannot be started is over; the answer goes out before the exit is told.
    fn start(&mut self, at: usize) -> Answer {
        match self.state.status {
            TaskStatus::Created => {}
            TaskStatus::Running => return Err(self.conflict("start", "it is running")),
            TaskStatus::Stopped => return Err(self.conflict("start", "it has ended")),
        }
        match self.start_init() {
            Ok(at) => plain(Reply::Started { at }),
            Err(error) => {
                self.connections[at].cleans = true;
                self.fail(at, &error);
                self.state.started_at = None;
                self.end(exit::failure(&error, None));
                Ok(None)
            }
        }
    }

    fn exec(&mut self, at: usize, process: &spec::Process, fds: Vec<OwnedFd>) -> Answer {
        let Some(container) = &self.container else {
            return Err(self.conflict("run a process in", "it has ended"));
        };
        let stdio = match process.terminal {
            true => Stdio::Console { size: process.console_size },
            false => Stdio::Fds(fds.try_into().map_err(|fds: Vec<OwnedFd>| {
                let why = format!("{} descriptors came along, three are needed", fds.len());
                Error::new(ErrorKind::InvalidInput, "cannot run a process without standard streams")
                    .because(why)
            })?),
        };
        let exec = self.oom.lifted(|| container.exec(process, stdio, &ExecOptions::default()))?;
        let process = ProcessId { pid: exec.pid, start: exec.start_time };
        let console = exec.console.as_ref().map(OwnedFd::try_clone).transpose();
        self.exec_count += 1;
        self.execs.insert(self.exec_count, Exec::new(exec, self.connections[at].number));
        let console = console.map_err(|error| Error::io("cannot hand out the terminal", error))?;
        Ok(Some((Reply::ExecStarted { exec: self.exec_count, process }, console.into_iter().collect())))
    }

    fn signal(&self, signal: i32, exec: Option<u32>) -> Answer {
        let what = || match exec {
            None => format!("cannot send signal {signal} to container {}", self.state.id.short()),
            Some(exec) => {
                format!("cannot send signal {signal} to exec {exec} of container {}", self.state.id.short())
            }
        };
        let ended = || Error::new(ErrorKind::Conflict, what()).because("it has ended");
        match pidfd::send_signal(self.process(exec).ok_or_else(ended)?, signal) {
            Ok(()) => plain(Reply::Done),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                Err(ended())
            }
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                Err(Error::new(ErrorKind::InvalidInput, what()).because("signals are numbered 1 to 64"))
            }
            Err(error) => Err(Error::io(what(), error)),
        }
    }

    /// Init, or an exec's process, while it has not been reaped.
    fn process(&self, exec: Option<u32>) -> Option<BorrowedFd<'_>> {
        match exec {
            None => self.container.as_ref().and_then(Container::pidfd),
            Some(number) => self.execs.get(&number).map(Exec::pidfd),
        }
    }

    fn stop(&mut self, signal: i32, timeout_ms: Option<u64>) -> Answer {
        if self.container.is_none() {
            return plain(Reply::Done);
        }
        match timeout_ms {
            Some(0) => self.kill_init(),
            patience => {
                self.signal(signal, None)?;
                let at =
                    patience.and_then(|patience| Instant::now().checked_add(Duration::from_millis(patience)));
                // Of several who want it stopped, the most impatient one is obeyed.
                self.kill_at = self.kill_at.into_iter().chain(at).min();
            }
        }
        self.stopping = true;
        plain(Reply::Done)
    }

    fn resize(&mut self, exec: Option<u32>, rows: u16, cols: u16) -> Answer {
        let console = match exec {
            None => self.streams.console(),
            Some(number) => self.execs.get(&number).and_then(Exec::console),
        };
        let console = console.ok_or_else(|| self.conflict("resize the terminal of", "it has none"))?;
        streams::resize(console, rows, cols)
            .map_err(|error| Error::io("cannot resize the terminal", error))?;
        if exec.is_none() {
            // A terminal made after a reboot has the size of the old one.
            self.bundle.task.console_size = Some((rows, cols));
        }
        plain(Reply::Done)
    }

    fn wait_for_end(&mut self, at: usize, cleans: bool) -> Answer {
        let connection = &mut self.connections[at];
        connection.waits = true;
        connection.cleans |= cleans;
        match &self.state.exit {
            Some(exit) => plain(Reply::Exited { exec: None, exit: exit.clone() }),
            None => Ok(None),
        }
    }

    fn clean(&mut self) -> Answer {
        if self.state.status != TaskStatus::Stopped {
            return Err(self.conflict("tidy after", "it has not ended"));
        }
        self.cleaned = true;
        Ok(None)
    }
}
