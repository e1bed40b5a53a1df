//! The engine's side of the protocol.

use super::{PATIENCE, wait_readable};
use sampan_sys::channel;
use sampan_types::{
    ExitRecord,
    spec::Process,
    task::{Failure, ProcessId, Reply, Request},
};
use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

/// A connection to a shim.
pub(crate) struct Client {
    socket: OwnedFd,
    exits: Vec<(Option<u32>, ExitRecord)>,
}

impl Client {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, exits: Vec::new() }
    }

    pub(crate) fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) {
        self.try_send(request, fds).unwrap();
    }

    /// Sends to a shim that may have gone.
    pub(crate) fn try_send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        channel::send(&self.socket, &serde_json::to_vec(request).unwrap(), fds)
    }

    /// The next answer; exits that are pushed in between are kept for [`Self::exit`].
    pub(crate) fn reply(&mut self) -> (Reply, Vec<OwnedFd>) {
        loop {
            match self.next().expect("the shim has gone") {
                (Reply::Exited { exec, exit }, _) => self.exits.push((exec, exit)),
                reply => return reply,
            }
        }
    }

    /// The exit of init (`None`) or of an exec.
    pub(crate) fn exit(&mut self, which: Option<u32>) -> ExitRecord {
        loop {
            if let Some(at) = self.exits.iter().position(|(exec, _)| *exec == which) {
                return self.exits.remove(at).1;
            }
            match self.next().expect("the shim has gone") {
                (Reply::Exited { exec, exit }, _) => self.exits.push((exec, exit)),
                reply => panic!("not an exit: {reply:?}"),
            }
        }
    }

    /// Goes without a word.
    pub(crate) fn close(&mut self) {
        self.socket = UnixStream::pair().unwrap().0.into();
    }

    /// Whether the shim has closed the connection.
    pub(crate) fn is_over(&self) -> bool {
        self.next().is_none()
    }

    fn next(&self) -> Option<(Reply, Vec<OwnedFd>)> {
        wait_readable(&self.socket);
        let frame = channel::recv(&self.socket).unwrap()?;
        Some((serde_json::from_slice(&frame.bytes).unwrap(), frame.fds))
    }

    pub(crate) fn ask(&mut self, request: &Request) -> Reply {
        self.send(request, &[]);
        self.reply().0
    }

    /// The failure that a request gets.
    pub(crate) fn refused(&mut self, request: &Request) -> Failure {
        match self.ask(request) {
            Reply::Failed(failure) => failure,
            reply => panic!("not refused: {reply:?}"),
        }
    }

    pub(crate) fn attach(&mut self, stdin: bool) -> UnixStream {
        self.send(&Request::Attach { stdin }, &[]);
        match self.reply() {
            (Reply::Attached, mut fds) => {
                let stream = UnixStream::from(fds.remove(0));
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream
            }
            (reply, _) => panic!("not attached: {reply:?}"),
        }
    }

    /// Runs a process with these standard streams, or a terminal; gives its number, process, and the terminal.
    pub(crate) fn exec(
        &mut self,
        process: Process,
        stdio: &[BorrowedFd<'_>],
    ) -> (u32, ProcessId, Vec<OwnedFd>) {
        self.send(&Request::Exec { process: Box::new(process) }, stdio);
        match self.reply() {
            (Reply::ExecStarted { exec, process }, fds) => (exec, process, fds),
            (reply, _) => panic!("not executed: {reply:?}"),
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Output of an attached client, sorted by stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Frames {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Frames {
    /// Reads frames to the end.
    pub(crate) fn read(stream: &mut impl Read) -> Self {
        let mut frames = Self::default();
        while frames.read_one(stream) {}
        frames
    }

    /// Reads one frame; `false` at the end.
    pub(crate) fn read_one(&mut self, stream: &mut impl Read) -> bool {
        let mut head = [0; 8];
        match stream.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return false,
            result => result.unwrap(),
        }
        let [number, 0, 0, 0, a, b, c, d] = head else { panic!("not a frame: {head:?}") };
        let target = match number {
            1 => &mut self.stdout,
            2 => &mut self.stderr,
            other => panic!("no stream {other}"),
        };
        let start = target.len();
        target.resize(start + u32::from_be_bytes([a, b, c, d]) as usize, 0);
        stream.read_exact(&mut target[start..]).unwrap();
        true
    }
}

/// Reads a pipe to its end.
pub(crate) fn read_all(fd: OwnedFd) -> String {
    let mut text = String::new();
    std::fs::File::from(fd).read_to_string(&mut text).unwrap();
    text
}
