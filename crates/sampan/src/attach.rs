//! A container in the foreground: its output here, our input there, until it ends or the caller leaves it.

use crate::{
    escape::DetachKeys,
    frames::Demultiplexer,
    signals,
    terminal::{self, RawMode},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, read, write},
    net::{Shutdown, shutdown},
    termios::isatty,
};
use sampan_engine::{Engine, TaskClient};
use sampan_types::{
    Error, Result,
    ops::{CleanUpContainer, ExecTask, Execute, Task},
    task::Request,
};
use std::{
    io::{Write, stderr, stdin, stdout},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

const BUFFER: usize = 32 << 10;

/// Stays with a task until it ends: its exit code. Detached by keys: 0. Where it `tidies`, as whoever started the task in the
/// foreground does, that is done when this returns.
pub(crate) fn foreground(engine: &Engine, task: Task, tidies: bool) -> Result<u8> {
    let client = TaskClient::new(task.control);
    let detached = match &task.stream {
        Some(stream) => {
            let terminal = task.tty;
            Session { client: &client, stream, terminal, exec: None }.run(task.stdin_open, true)?
                == End::Detached
        }
        None => false,
    };
    if detached {
        eprintln!("\rleft {} running", task.name);
        return Ok(0);
    }
    let exit = client.wait_exit(None)?;
    if tidies {
        engine.execute(CleanUpContainer { id: task.id })?;
        let linger = engine.linger();
        let fds: Vec<BorrowedFd> = linger.iter().map(AsFd::as_fd).collect();
        client.send(&Request::Cleaned, &fds)?;
    }
    Ok(exit.code)
}

/// Stays with a process run by `exec` until it ends: its exit code.
pub(crate) fn exec(task: ExecTask, interactive: bool) -> Result<u8> {
    let client = TaskClient::new(task.control);
    if let Some(console) = &task.console {
        let session = Session { client: &client, stream: console, terminal: true, exec: Some(task.exec) };
        if session.run(interactive, false)? == End::Detached {
            return Ok(0);
        }
    }
    Ok(client.wait_exit(Some(task.exec))?.code)
}

/// How a session came to its end.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The other side closed: the program has ended.
    Closed,
    /// The caller typed the detach keys.
    Detached,
}

struct Session<'a> {
    client: &'a TaskClient,
    stream: &'a OwnedFd,
    /// Raw bytes both ways rather than frames.
    terminal: bool,
    exec: Option<u32>,
}

impl Session<'_> {
    fn run(&self, mut input: bool, pass_signals: bool) -> Result<End> {
        let failed = |errno: Errno| Error::io("cannot copy input and output", errno.into());
        let signals = signals::descriptor(pass_signals)?;
        let raw = if self.terminal && input { RawMode::enter() } else { None };
        self.resize()?;
        let mut keys = DetachKeys::default();
        let mut output = Demultiplexer::default();
        let mut buffer = vec![0; BUFFER];
        let stdin = stdin();
        loop {
            let mut entries =
                vec![PollFd::new(self.stream, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
            if input {
                entries.push(PollFd::new(&stdin, PollFlags::IN));
            }
            match poll(&mut entries, None) {
                Err(Errno::INTR) => continue,
                result => result.map_err(failed)?,
            };
            let ready: Vec<bool> = entries.iter().map(|entry| !entry.revents().is_empty()).collect();
            if ready[1] {
                self.pass_signals(&signals)?;
            }
            if ready[0] && !self.show(&mut buffer, &mut output)? {
                return Ok(End::Closed);
            }
            if input && ready.get(2) == Some(&true) {
                match read(stdin.as_fd(), &mut buffer) {
                    Ok(0) | Err(Errno::IO) => {
                        input = false;
                        self.end_input();
                    }
                    Ok(count) => {
                        let (typed, leave) = if raw.is_some() {
                            keys.filter(&buffer[..count])
                        } else {
                            (buffer[..count].to_vec(), false)
                        };
                        if !write_all(self.stream.as_fd(), &typed) {
                            input = false;
                        }
                        if leave {
                            return Ok(End::Detached);
                        }
                    }
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(errno) => return Err(failed(errno)),
                }
            }
        }
    }

    /// Shows what has come; false at the end.
    fn show(&self, buffer: &mut [u8], output: &mut Demultiplexer) -> Result<bool> {
        let count = match read(self.stream, &mut *buffer) {
            // A terminal's master gives EIO when nobody has its other end open any more.
            Ok(0) | Err(Errno::IO | Errno::CONNRESET) => return Ok(false),
            Ok(count) => count,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(true),
            Err(errno) => return Err(Error::io("cannot read the container's output", errno.into())),
        };
        let (mut out, mut err) = (stdout().lock(), stderr().lock());
        let shown = if self.terminal {
            out.write_all(&buffer[..count]).and_then(|()| out.flush())
        } else {
            output.feed(&buffer[..count], &mut out, &mut err)
        };
        shown.map_err(|source| Error::io("cannot write to standard output", source))?;
        Ok(true)
    }

    /// Our input has ended: the program sees the end of its own.
    fn end_input(&self) {
        if self.exec.is_none() && !self.terminal {
            // Where the other side has gone already, there is nobody left to tell.
            let _ = shutdown(self.stream, Shutdown::Write);
        } else {
            // A terminal cannot be half closed; Ctrl-D is how its input ends.
            write_all(self.stream.as_fd(), &[0x04]);
        }
    }

    fn resize(&self) -> Result<()> {
        match terminal::size() {
            Some((rows, cols)) if self.terminal && isatty(stdout()) => {
                self.client.send(&Request::Resize { exec: self.exec, rows, cols }, &[])
            }
            _ => Ok(()),
        }
    }

    fn pass_signals(&self, signals: &OwnedFd) -> Result<()> {
        let failed = |source| Error::io("cannot receive signals", source);
        while let Some(signal) = sampan_sys::signal::next(signals).map_err(failed)? {
            match signal {
                signals::WINCH => self.resize()?,
                signal => self.client.send(&Request::Signal { signal, exec: self.exec }, &[])?,
            }
        }
        Ok(())
    }
}

/// Writes all, waiting where the other side is slow; false where it has gone.
fn write_all(fd: BorrowedFd, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut entries = [PollFd::new(&fd, PollFlags::OUT)];
                if poll(&mut entries, None).is_err_and(|errno| errno != Errno::INTR) {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
    true
}
