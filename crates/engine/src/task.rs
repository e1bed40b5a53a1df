//! The engine's end of the conversation with a shim ([`sampan_types::task`]).

use sampan_sys::channel;
use sampan_types::{
    Error, ErrorKind, ExitRecord, Result,
    task::{Reply, Request},
};
use std::{
    cell::RefCell,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::net::UnixStream,
    path::Path,
};

/// A connection to a shim.
pub struct TaskClient {
    socket: OwnedFd,
    /// Exits that were pushed while something else was awaited.
    exits: RefCell<Vec<(Option<u32>, ExitRecord)>>,
}

impl TaskClient {
    /// Wraps a connection.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, exits: RefCell::default() }
    }

    /// Connects to the shim of a bundle.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where nobody listens.
    pub fn connect(bundle: &Path) -> Result<Self> {
        // A socket's path is limited to 107 bytes (unix(7)); the bundle's may be longer, its descriptor's is not.
        let dir = std::fs::File::open(bundle).map_err(unreachable)?;
        let path = format!("/proc/self/fd/{}/shim.sock", std::os::fd::AsRawFd::as_raw_fd(&dir));
        let stream = UnixStream::connect(path).map_err(unreachable)?;
        Ok(Self::new(stream.into()))
    }

    /// The connection itself, to wait on.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The connection once more, for another owner.
    ///
    /// # Errors
    /// Where descriptors have run out.
    pub fn try_clone_socket(&self) -> Result<OwnedFd> {
        self.socket.try_clone().map_err(|source| Error::io("cannot hold the container's shim", source))
    }

    /// Kills what the shim has made, and waits until it is gone; no error where there is nothing (any more). The
    /// shim then waits for [`Request::Cleaned`].
    ///
    /// # Errors
    /// Where the shim does not understand.
    pub fn end(&self) -> Result<()> {
        let ask = || {
            self.send(&Request::Wait { cleans: true }, &[])?;
            self.send(&Request::Stop { signal: 9, timeout_ms: Some(0) }, &[])?;
            self.wait_exit(None).map(drop)
        };
        match ask() {
            Err(error) if error.kind() == ErrorKind::Unavailable => Ok(()),
            result => result,
        }
    }

    /// Gives the connection back.
    pub fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Sends a request without waiting for its answer.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where the shim has gone.
    pub fn send(&self, request: &Request, fds: &[BorrowedFd]) -> Result<()> {
        let bytes = serde_json::to_vec(request)
            .map_err(|error| Error::new(ErrorKind::Internal, "cannot encode a request").because(error))?;
        channel::send(&self.socket, &bytes, fds).map_err(unreachable)
    }

    /// Receives the next answer. A failure that the shim reports is the error.
    ///
    /// # Errors
    /// The shim's own, or [`ErrorKind::Unavailable`] where it has gone.
    pub fn reply(&self) -> Result<(Reply, Vec<OwnedFd>)> {
        loop {
            let (reply, fds) = self.next()?;
            match reply {
                Reply::Failed(failure) => return Err(failure.into()),
                Reply::Exited { exec, exit } => self.exits.borrow_mut().push((exec, exit)),
                reply => return Ok((reply, fds)),
            }
        }
    }

    /// [`TaskClient::send`], then [`TaskClient::reply`].
    ///
    /// # Errors
    /// As those.
    pub fn request(&self, request: &Request, fds: &[BorrowedFd]) -> Result<(Reply, Vec<OwnedFd>)> {
        self.send(request, fds)?;
        self.reply()
    }

    /// Waits until init (`None`) or an exec has ended.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where the shim goes before.
    pub fn wait_exit(&self, which: Option<u32>) -> Result<ExitRecord> {
        loop {
            let mut exits = self.exits.borrow_mut();
            if let Some(at) = exits.iter().position(|(exec, _)| *exec == which) {
                return Ok(exits.swap_remove(at).1);
            }
            drop(exits);
            if let (Reply::Exited { exec, exit }, _) = self.next()? {
                self.exits.borrow_mut().push((exec, exit));
            }
        }
    }

    fn next(&self) -> Result<(Reply, Vec<OwnedFd>)> {
        let frame = channel::recv(&self.socket).map_err(unreachable)?.ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "cannot reach the container's shim").because("it has ended")
        })?;
        let reply = serde_json::from_slice(&frame.bytes).map_err(|error| {
            Error::new(ErrorKind::Internal, "cannot understand the container's shim").because(error)
        })?;
        Ok((reply, frame.fds))
    }
}

fn unreachable(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "cannot reach the container's shim").because(source)
}
