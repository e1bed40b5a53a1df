//! The container's standard input, output and error, seen from the shim: pipes, or a terminal's master.

use crate::{input::Input, json_log::Stream};
use rustix::{
    event::PollFlags,
    fd::{AsFd as _, BorrowedFd, OwnedFd},
    fs::{Gid, Mode, OFlags, Uid},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    pty::OpenptFlags,
    termios::Winsize,
};
use sampan_runtime::Stdio;
use sampan_types::{
    Error, Result,
    spec::{ConsoleSize, IdMapping, Spec},
    task::TaskConfig,
};
use std::io;

/// What reading from an output gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// Its end.
    End,
}

/// One output of the container. Never blocks.
#[derive(Debug)]
pub(crate) struct Output {
    /// Which one it is.
    pub(crate) stream: Stream,
    /// `None` once it has ended.
    fd: Option<OwnedFd>,
    /// A terminal's own other end, held open: a master whose slave nobody has open reads `EIO` and would be reported
    /// by poll for ever. `None` for a pipe.
    slave: Option<OwnedFd>,
}

/// All that connects the shim with the container's stdio.
#[derive(Debug)]
pub(crate) struct Streams {
    /// What attachers write.
    pub(crate) input: Input,
    /// What the container writes.
    pub(crate) outputs: Vec<Output>,
    /// The terminal's master, for its size.
    console: Option<OwnedFd>,
}

impl Streams {
    /// Makes the pipes, or asks for a terminal, as the container's process wants it; gives the shim's side and what
    /// goes to the runtime. A terminal is added with [`Self::connect_console`].
    pub(crate) fn open(task: &TaskConfig, spec: &Spec) -> Result<(Self, Stdio)> {
        let process = spec.process.as_ref();
        if process.is_some_and(|process| process.terminal) {
            let asked = task.console_size.map(|(height, width)| ConsoleSize { height, width });
            let size = asked.or(process.and_then(|process| process.console_size));
            let streams = Self { input: Input::none(), outputs: Vec::new(), console: None };
            return Ok((streams, Stdio::Console { size }));
        }
        let failed = |error: Errno| Error::io("cannot make the container's standard streams", error.into());
        let (input, stdin) = match task.stdin_open {
            true => {
                let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
                rustix::io::ioctl_fionbio(&writer, true).map_err(failed)?;
                (Input::pipe(writer), reader)
            }
            false => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                (Input::none(), rustix::fs::open("/dev/null", flags, Mode::empty()).map_err(failed)?)
            }
        };
        let (stdout, stdout_end) = output_pipe(Stream::Stdout).map_err(failed)?;
        let (stderr, stderr_end) = output_pipe(Stream::Stderr).map_err(failed)?;
        let (uid, gid) = owner(spec);
        for pipe in [&stdout_end, &stderr_end].into_iter().chain(task.stdin_open.then_some(&stdin)) {
            // So that the program may open /dev/stdout by name; a refusal (no privilege) costs just that.
            let _ = rustix::fs::fchown(pipe, Some(uid), Some(gid));
        }
        let streams = Self { input, outputs: vec![stdout, stderr], console: None };
        Ok((streams, Stdio::Fds([stdin, stdout_end, stderr_end])))
    }

    /// Takes the terminal's master, which the runtime has made in the container.
    pub(crate) fn connect_console(&mut self, master: OwnedFd) -> Result<()> {
        let failed = |error: io::Error| Error::io("cannot use the container's terminal", error);
        rustix::io::ioctl_fionbio(&master, true).map_err(|errno| failed(errno.into()))?;
        self.input = Input::terminal(master.try_clone().map_err(failed)?);
        self.console = Some(master.try_clone().map_err(failed)?);
        let slave = open_slave(&master).map_err(|errno| failed(errno.into()))?;
        self.outputs = vec![Output { stream: Stream::Stdout, fd: Some(master), slave: Some(slave) }];
        Ok(())
    }

    /// Whether the streams are a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.console.is_some()
    }

    /// The terminal, where it is one.
    pub(crate) fn console(&self) -> Option<BorrowedFd<'_>> {
        self.console.as_ref().map(|console| console.as_fd())
    }
}

impl Output {
    /// Reads into `buffer`.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Chunk {
        let Some(fd) = &self.fd else { return Chunk::End };
        match rustix::io::read(fd, buffer) {
            Ok(count @ 1..) => return Chunk::Bytes(count),
            Err(Errno::AGAIN | Errno::INTR) => return Chunk::Nothing,
            // The terminal was hung up (vhangup(2), the end of its session), the slave held here with it.
            Err(Errno::IO) if self.slave.is_some() => {
                self.slave = open_slave(fd).ok();
                if self.slave.is_some() {
                    return Chunk::Nothing;
                }
            }
            Ok(0) | Err(_) => {}
        }
        self.fd = None;
        Chunk::End
    }

    /// What to poll for, before its end.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.fd.as_ref().map(|fd| (fd.as_fd(), PollFlags::IN))
    }
}

/// Sets a terminal's size; its foreground program gets `SIGWINCH`.
pub(crate) fn resize(console: impl rustix::fd::AsFd, rows: u16, cols: u16) -> io::Result<()> {
    let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(console, size)?)
}

/// The other end of a terminal, through the master's own devpts and not by a path (Linux 4.13).
fn open_slave(master: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    rustix::pty::ioctl_tiocgptpeer(master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
}

fn output_pipe(stream: Stream) -> rustix::io::Result<(Output, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    // Only this end: the two are separate open files, and the container's must block.
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok((Output { stream, fd: Some(reader), slave: None }, writer))
}

/// The host's ids of the container's process.
fn owner(spec: &Spec) -> (Uid, Gid) {
    let user = spec.process.as_ref().map(|process| &process.user);
    let (uid, gid) = user.map_or((0, 0), |user| (user.uid, user.gid));
    let maps = spec.linux.as_ref().map(|linux| (&linux.uid_mappings[..], &linux.gid_mappings[..]));
    let (uid_map, gid_map) = maps.unwrap_or_default();
    (Uid::from_raw(outside(uid_map, uid)), Gid::from_raw(outside(gid_map, gid)))
}

fn outside(map: &[IdMapping], id: u32) -> u32 {
    let line = map.iter().find(|line| id.checked_sub(line.container_id).is_some_and(|at| at < line.size));
    line.map_or(id, |line| line.host_id.saturating_add(id - line.container_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{grantpt, openpt, unlockpt};

    fn terminal() -> (Streams, OwnedFd) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = open_slave(&master).unwrap();
        let mut streams = Streams { input: Input::none(), outputs: Vec::new(), console: None };
        streams.connect_console(master).unwrap();
        (streams, slave)
    }

    #[test]
    fn a_terminal_that_everybody_closed_is_quiet_and_can_be_opened_again() {
        let (mut streams, slave) = terminal();
        let mut buffer = [0; 64];
        rustix::io::write(&slave, b"one").unwrap();
        drop(slave);
        assert_eq!(streams.outputs[0].read(&mut buffer), Chunk::Bytes(3));
        assert_eq!(streams.outputs[0].read(&mut buffer), Chunk::Nothing);
        let slave = open_slave(streams.console.as_ref().unwrap()).unwrap();
        rustix::io::write(&slave, b"two").unwrap();
        assert_eq!(streams.outputs[0].read(&mut buffer), Chunk::Bytes(3));
    }

    #[test]
    fn a_terminal_that_lost_its_last_slave_gets_a_new_one() {
        let (mut streams, slave) = terminal();
        drop(slave);
        // What a hang-up does to the slave that is held: it is no longer one of this terminal's.
        streams.outputs[0].slave = Some(rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty()).unwrap());
        let mut buffer = [0; 64];
        assert_eq!(streams.outputs[0].read(&mut buffer), Chunk::Nothing);
        let slave = open_slave(streams.console.as_ref().unwrap()).unwrap();
        rustix::io::write(&slave, b"again").unwrap();
        assert_eq!(streams.outputs[0].read(&mut buffer), Chunk::Bytes(5));
    }

    #[test]
    fn a_size_is_set() {
        let (streams, slave) = terminal();
        resize(streams.console().unwrap(), 7, 99).unwrap();
        let size = rustix::termios::tcgetwinsize(&slave).unwrap();
        assert_eq!((size.ws_row, size.ws_col), (7, 99));
    }

    #[test]
    fn pipes_belong_to_the_mapped_user() {
        let map = [
            IdMapping { container_id: 0, host_id: 100_000, size: 1000 },
            IdMapping { container_id: 2000, host_id: 5, size: 1 },
        ];
        assert_eq!(outside(&map, 999), 100_999);
        assert_eq!(outside(&map, 2000), 5);
        assert_eq!(outside(&map, 1000), 1000);
        assert_eq!(outside(&[], 42), 42);
    }
}
