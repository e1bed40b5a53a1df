//! Frames over a stream socket, with descriptors: four bytes of length, big endian, then that many bytes; descriptors
//! travel as `SCM_RIGHTS` with the first byte of a frame.

use rustix::{
    io::{Errno, IoSlice, IoSliceMut},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};
use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// The longest frame, in bytes.
pub const MAX_FRAME: usize = 16 << 20;

/// The most descriptors that a frame carries.
pub const MAX_FDS: usize = 8;

/// The most that one read takes: a usual frame whole, with its header.
const CHUNK: usize = 16 << 10;

/// One frame.
#[derive(Debug)]
pub struct Frame {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The descriptors that came along, each `CLOEXEC`.
    pub fds: Vec<OwnedFd>,
}

/// Sends one frame, waiting where the socket is full, also when it is non-blocking.
///
/// # Errors
/// `InvalidInput` for a frame that is too long or has too many descriptors; what sendmsg(2) gives, a closed peer among it (no `SIGPIPE` is
/// raised).
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if bytes.len() > MAX_FRAME || fds.len() > MAX_FDS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a frame of {} bytes and {} descriptors is too large", bytes.len(), fds.len()),
        ));
    }
    let header = (bytes.len() as u32).to_be_bytes();
    let mut sent = 0;
    while sent < header.len() + bytes.len() {
        let (header_rest, body_rest) = match header.get(sent..) {
            Some(rest) if !rest.is_empty() => (rest, bytes),
            _ => (&[][..], &bytes[sent - header.len()..]),
        };
        let parts = [IoSlice::new(header_rest), IoSlice::new(body_rest)];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if sent == 0 && !fds.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(fds));
        }
        match sendmsg(&socket, &parts, &mut ancillary, SendFlags::NOSIGNAL) {
            Ok(count) => sent += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(socket.as_fd(), rustix::event::PollFlags::OUT)?,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Receives one frame, waiting for it; `None` when the peer has closed between frames.
///
/// # Errors
/// `InvalidData` for a frame longer than [`MAX_FRAME`], `UnexpectedEof` when the peer closes within one, or what
/// recvmsg(2) gives.
pub fn recv(socket: impl AsFd) -> io::Result<Option<Frame>> {
    let mut reader = FrameReader::new();
    loop {
        match reader.read(&socket) {
            Ok(Progress::Frame(frame)) => return Ok(Some(frame)),
            Ok(Progress::Closed) => return Ok(None),
            Ok(Progress::Partial) => wait(socket.as_fd(), rustix::event::PollFlags::IN)?,
            Err(error) => return Err(error),
        }
    }
}

/// What one call of [`FrameReader::read`] came to.
#[derive(Debug)]
pub enum Progress {
    /// A whole frame. There may be another one already: call again.
    Frame(Frame),
    /// Nothing more to read now.
    Partial,
    /// The peer has closed, between frames.
    Closed,
}

/// Reads frames piece by piece, for a poll loop over non-blocking sockets.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl FrameReader {
    /// A reader at the beginning of a frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many more bytes the frame at hand needs: of its header first, then of its body.
    fn missing(&self) -> io::Result<usize> {
        let Some(header) = self.buffer.first_chunk::<4>() else {
            return Ok(4 - self.buffer.len());
        };
        let length = u32::from_be_bytes(*header) as usize;
        if length > MAX_FRAME {
            let text = format!("a frame of {length} bytes is longer than allowed");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(4 + length - self.buffer.len())
    }

    /// Reads what is there, without waiting. Bytes beyond the frame are left in the socket, so that descriptors stay
    /// with their frame.
    ///
    /// # Errors
    /// As [`recv`].
    pub fn read(&mut self, socket: impl AsFd) -> io::Result<Progress> {
        loop {
            let missing = self.missing()?;
            if missing == 0 {
                let mut bytes = std::mem::take(&mut self.buffer);
                bytes.drain(..4);
                return Ok(Progress::Frame(Frame { bytes, fds: std::mem::take(&mut self.fds) }));
            }
            match self.receive(socket.as_fd(), missing.min(CHUNK)) {
                Ok(0) if self.buffer.is_empty() => return Ok(Progress::Closed),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Progress::Partial),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn receive(&mut self, socket: BorrowedFd<'_>, count: usize) -> Result<usize, Errno> {
        let start = self.buffer.len();
        self.buffer.resize(start + count, 0);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut self.buffer[start..])];
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(socket, &mut parts, &mut ancillary, flags).map(|message| message.bytes);
        self.buffer.truncate(start + received.unwrap_or(0));
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        received
    }
}

fn wait(socket: BorrowedFd<'_>, events: rustix::event::PollFlags) -> io::Result<()> {
    let mut entries = [rustix::event::PollFd::from_borrowed_fd(socket, events)];
    match rustix::event::poll(&mut entries, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests;
