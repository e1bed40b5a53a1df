//! Sockets and files through which callers get what a new process comes with: its terminal, its descriptor, its number.

use rustix::{
    fd::{AsFd as _, BorrowedFd, OwnedFd},
    io::IoSlice,
    net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
        SocketType, connect, sendmsg, socket_with,
    },
};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    fs,
    mem::MaybeUninit,
    path::{Path, PathBuf},
};

/// What the caller has asked for. Paths are absolute: relative ones start at the caller's working directory, not at the bundle.
#[derive(Debug, Default)]
pub(super) struct Outlets {
    console: Option<OwnedFd>,
    pidfd: Option<OwnedFd>,
    pid_file: Option<PathBuf>,
}

impl Outlets {
    /// Opens the sockets. `detached` says that nobody stays to copy a terminal.
    ///
    /// # Errors
    /// Where a terminal has nobody to go to, or a socket has no terminal; where a socket does not answer.
    pub(super) fn open(words: &super::words::Words, terminal: bool, detached: bool) -> Result<Self> {
        let console = words.text("console-socket");
        // The sentences are runc's, name and all: callers compare them.
        match (console, terminal && detached) {
            (None, true) => {
                return Err(refused(
                    "cannot allocate tty if runc will detach without setting console socket",
                ));
            }
            (Some(_), false) => {
                return Err(refused("cannot use console socket if runc will not detach or allocate tty"));
            }
            _ => {}
        }
        let pid_file = words.text("pid-file").map(|path| {
            std::path::absolute(path).map_err(|error| Error::io(format!("find the path of {path}"), error))
        });
        Ok(Self {
            console: console.map(dial).transpose()?,
            pidfd: words.text("pidfd-socket").map(dial).transpose()?,
            pid_file: pid_file.transpose()?,
        })
    }

    /// Gives the terminal away where it is to be; who copies it gets it back.
    pub(super) fn console(&self, master: Option<OwnedFd>) -> Result<Option<OwnedFd>> {
        let (Some(socket), Some(terminal)) = (&self.console, &master) else { return Ok(master) };
        let name = rustix::pty::ptsname(terminal, Vec::new())
            .map_err(|errno| Error::io("cannot name the terminal", errno.into()))?;
        send(socket, name.as_bytes(), terminal.as_fd(), "console socket")?;
        Ok(None)
    }

    /// Tells which process it is.
    pub(super) fn process(&self, pid: i32, pidfd: BorrowedFd<'_>) -> Result<()> {
        if let Some(socket) = &self.pidfd {
            send(socket, b"pidfd", pidfd, "pidfd socket")?;
        }
        self.pid_file.as_deref().map_or(Ok(()), |path| write_pid(path, pid))
    }
}

/// The number and nothing else; who waits for the file finds it whole.
fn write_pid(path: &Path, pid: i32) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}"));
    let failed = |error| Error::io(format!("open {}", new.display()), error);
    fs::write(&new, pid.to_string()).map_err(failed)?;
    fs::rename(&new, path).map_err(|error| Error::io(format!("rename {}", path.display()), error))
}

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, what)
}

fn dial(path: &str) -> Result<OwnedFd> {
    let connected = || {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(socket)
    };
    connected()
        .map_err(|errno: rustix::io::Errno| Error::io(format!("dial unix {path}: connect"), errno.into()))
}

fn send(socket: &OwnedFd, name: &[u8], fd: BorrowedFd<'_>, what: &str) -> Result<()> {
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    rustix::io::retry_on_intr(|| sendmsg(socket, &[IoSlice::new(name)], &mut ancillary, SendFlags::NOSIGNAL))
        .map(drop)
        .map_err(|errno| Error::io(format!("send to the {what}"), errno.into()))
}
