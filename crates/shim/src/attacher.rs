//! One client connected to the container's stdio.

use crate::{json_log::Stream, outgoing::Outgoing};
use rustix::{
    event::PollFlags,
    fd::{AsFd as _, BorrowedFd, OwnedFd},
    io::Errno,
    net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair},
};
use std::{
    io,
    time::{Duration, Instant},
};

/// A foreground attacher with more than this unread stops the container's output.
const HOLDING: usize = 64 * 1024;
/// An observer with more than this unread is dropped.
const LAGGING: usize = 1024 * 1024;
/// A foreground attacher that has taken nothing for this long is dropped.
const STUCK: Duration = Duration::from_secs(10 * 60);
/// An observer that has taken nothing of the last output for this long does not keep the shim from ending.
const PARTING: Duration = Duration::from_secs(10);

/// How much is owed to a client that reads slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// `run` in the foreground: it must not lose output. While it has more than [`HOLDING`] bytes unread, the
    /// container's output is not read, so that the container blocks in `write(2)` as it would in a shell's pipe
    /// (`sampan run … | less`). One that has taken nothing for [`STUCK`] is taken for dead: it is dropped, and the
    /// container goes on.
    Foreground,
    /// Somebody who looks on: never slows the container, and is dropped when it lags by more than [`LAGGING`] bytes.
    Observer,
}

/// What reading from an attacher gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes of input.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The client has shut down its writing side: end of input.
    End,
    /// The client has gone.
    Gone,
}

/// An attached client. Never blocks.
#[derive(Debug)]
pub(crate) struct Attacher {
    socket: OwnedFd,
    queue: Outgoing,
    care: Care,
    /// Output is wrapped in Docker's frames.
    framed: bool,
    /// Input may still come.
    reading: bool,
    /// Since when it has taken nothing of what waits.
    stuck_since: Option<Instant>,
    /// The output has ended; it goes when all is written.
    ending: bool,
    /// The client has closed its end; what it wrote before can still be read.
    hung_up: bool,
    gone: bool,
}

impl Attacher {
    /// Makes a connected pair: the attacher, and the client's end of its socket.
    pub(crate) fn pair(care: Care, framed: bool, stdin: bool) -> io::Result<(Self, OwnedFd)> {
        let (socket, client) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        let attacher = Self {
            socket,
            queue: Outgoing::default(),
            care,
            framed,
            reading: stdin,
            stuck_since: None,
            ending: false,
            hung_up: false,
            gone: false,
        };
        if !stdin {
            attacher.refuse_input();
        }
        Ok((attacher, client))
    }

    /// Sends output, as far as the client takes it now; the rest waits.
    pub(crate) fn deliver(&mut self, stream: Stream, bytes: &[u8]) {
        if self.gone || self.hung_up {
            return;
        }
        if self.framed {
            self.queue.push(&[stream as u8, 0, 0, 0]);
            // A read of the container's output is far below 4 GiB.
            self.queue.push(&(bytes.len() as u32).to_be_bytes());
        }
        self.queue.push(bytes);
        self.flush();
        if self.care == Care::Observer && self.queue.len() > LAGGING {
            self.gone = true;
        }
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) {
        match self.queue.write_to(&self.socket) {
            Ok(0) if !self.queue.is_empty() => {
                self.stuck_since.get_or_insert_with(Instant::now);
            }
            Ok(_) => self.stuck_since = (!self.queue.is_empty()).then(Instant::now),
            Err(_) => self.hang_up(),
        }
        self.gone |= self.ending && self.queue.is_empty();
    }

    /// Takes note that the client has closed its end (`POLLHUP`, or `EPIPE` when writing). Output has no reader any
    /// more; input that is on its way is still taken.
    pub(crate) fn hang_up(&mut self) {
        self.hung_up = true;
        self.queue = Outgoing::default();
        self.stuck_since = None;
        self.gone |= !self.reading;
    }

    /// Reads input into `buffer`.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        let received = match rustix::io::read(&self.socket, buffer) {
            Ok(0) if self.hung_up => Received::Gone,
            Ok(0) => Received::End,
            Ok(count) => Received::Bytes(count),
            Err(Errno::AGAIN | Errno::INTR) => Received::Nothing,
            Err(_) => Received::Gone,
        };
        match received {
            Received::Gone => (self.reading, self.gone) = (false, true),
            Received::End => self.reading = false,
            Received::Bytes(_) | Received::Nothing => {}
        }
        received
    }

    /// Whether input may still come.
    pub(crate) fn is_reading(&self) -> bool {
        self.reading && !self.gone
    }

    /// Tells the client that its input has no reader any more: it gets `EPIPE`.
    pub(crate) fn end_input(&mut self) {
        self.reading = false;
        self.gone |= self.hung_up;
        self.refuse_input();
    }

    fn refuse_input(&self) {
        // Fails only when the client has gone, which poll reports.
        let _ = shutdown(&self.socket, Shutdown::Read);
    }

    /// The output has ended: the client gets the end after the rest.
    pub(crate) fn end(&mut self) {
        self.ending = true;
        self.flush();
    }

    /// Marks the client as gone.
    pub(crate) fn drop_client(&mut self) {
        self.gone = true;
    }

    /// Whether the attacher can be forgotten.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether the container's output must wait for this client.
    pub(crate) fn holds_back(&self) -> bool {
        self.care == Care::Foreground && !self.gone && self.queue.len() > HOLDING
    }

    /// When the client is to be given up, if it goes on taking nothing.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let patience = if self.ending && self.care == Care::Observer { PARTING } else { STUCK };
        self.stuck_since.map(|since| since + patience)
    }

    /// What to poll for; `room` tells whether input can be taken now. A client that has hung up is not watched while
    /// there is no room, since poll would report it for ever.
    pub(crate) fn interest(&self, room: bool) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, self.reading && room);
        flags.set(PollFlags::OUT, !self.queue.is_empty());
        (!self.hung_up || room).then(|| (self.socket.as_fd(), flags))
    }
}

#[cfg(test)]
mod tests;
