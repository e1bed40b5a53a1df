//! What the runtime and a child on its way into the container say to each other: one JSON value a packet, descriptors
//! with it. The socket is closed by `execve`, which says "the program runs".

use crate::error::Cannot;
use rustix::{
    io::{Errno, IoSlice, IoSliceMut},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};
use sampan_types::{Error, ErrorKind, Result, task::Failure};
use serde::{Deserialize, Serialize};
use std::{
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd},
};

/// One packet.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// To the runtime: the process that goes on is this one; its pidfd comes along.
    Cloned { pid: i32 },
    /// To the child: its ids are mapped; these are the next trees. `more` says that another packet with trees follows.
    Trees { more: bool },
    /// To the runtime: mounts are done; hooks of the runtime's side are due.
    Hooks,
    /// To the runtime: all is ready; the terminal's master comes along where there is one.
    Ready,
    /// To the runtime: the filter is loaded; another process answers for it on the sender's descriptor of this number.
    Listener { fd: i32 },
    /// To the child: go on.
    Proceed,
    /// To the child: its facts are written down; somebody else will start it.
    Detach,
    /// To the runtime: a tool is about to be run, which is spoken to by the socket that comes along, and has these directories open
    /// under these numbers.
    Tool { directories: Vec<i32> },
    /// To the runtime: it cannot be done.
    Failed(Failure),
}

/// As many descriptors as one packet carries here; the kernel's limit is 253.
pub(crate) const MAX_FDS: usize = 64;

/// The longest packet: failures quote paths and texts of the specification.
const MAX_PACKET: usize = 64 << 10;

/// One end.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl From<OwnedFd> for Channel {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Channel {
    /// The runtime's end and the child's.
    pub(crate) fn pair() -> Result<(Self, Self)> {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map(|(one, two)| (Self(one), Self(two)))
            .cannot(|| "make a socket pair".into())
    }

    pub(crate) fn send(&self, message: &Message, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let bytes = packet(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(fds));
        }
        let parts = [IoSlice::new(&bytes[..bytes.len().min(MAX_PACKET)])];
        rustix::io::retry_on_intr(|| sendmsg(&self.0, &parts, &mut ancillary, SendFlags::NOSIGNAL))
            .map(drop)
            .cannot(|| "write to the other side of the container's creation".into())
    }

    /// The next packet; `None` when the other side has closed.
    pub(crate) fn receive(&self) -> Result<Option<(Message, Vec<OwnedFd>)>> {
        // Not on the heap, which resource limits may keep from growing.
        let mut buffer = [0; MAX_PACKET];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let count = loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            match recvmsg(&self.0, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Ok(message) => break message.bytes,
                Err(Errno::INTR) => {}
                // The other side is gone with a packet of ours unread.
                Err(Errno::CONNRESET) => break 0,
                Err(errno) => return Err(errno).cannot(|| "read from the child".into()),
            }
        };
        let mut fds = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        if count == 0 {
            return Ok(None);
        }
        let message = serde_json::from_slice(&buffer[..count]).map_err(|error| {
            Error::new(ErrorKind::Internal, "cannot read a message of the child").because(error)
        })?;
        Ok(Some((message, fds)))
    }

    /// The runtime's side: sends; where the child is gone, why it is gone is the error.
    pub(crate) fn tell(&self, message: &Message, fds: &[BorrowedFd<'_>]) -> Result<()> {
        self.send(message, fds).map_err(|error| match self.receive() {
            Ok(Some((Message::Failed(failure), _))) => failure.into(),
            _ => error,
        })
    }

    /// The runtime's side: the next packet, where the child's failure and its silent end are errors.
    pub(crate) fn expect(&self, step: &str) -> Result<(Message, Vec<OwnedFd>)> {
        match self.receive()? {
            Some((Message::Failed(failure), _)) => Err(failure.into()),
            Some(packet) => Ok(packet),
            None => Err(Error::new(ErrorKind::Internal, format!("cannot {step}"))
                .because("the child process was killed on the way")
                .hint("look for an out-of-memory kill in the kernel's log, or raise --memory")),
        }
    }

    /// The runtime's side: waits until the program runs; `forward` is given the number of the descriptor on which another
    /// process answers the child's calls.
    pub(crate) fn await_program(&self, mut forward: impl FnMut(i32) -> Result<()>) -> Result<()> {
        loop {
            match self.receive()? {
                // Closed by `execve`.
                None => return Ok(()),
                Some((Message::Listener { fd }, _)) => {
                    forward(fd)?;
                    self.tell(&Message::Proceed, &[])?;
                }
                Some((Message::Failed(failure), _)) => return Err(failure.into()),
                Some((message, _)) => return Err(unexpected(Some(message))),
            }
        }
    }

    /// The child's side, before it loads a filter: prepares to tell of the descriptor that loading will give, which has the
    /// lowest number that is free.
    pub(crate) fn announce(&self) -> Result<Announced> {
        let next = rustix::io::fcntl_dupfd_cloexec(&self.0, 0).cannot(|| "duplicate a descriptor".into())?;
        let fd = next.as_raw_fd();
        Ok(Announced { fd, packet: packet(&Message::Listener { fd })? })
    }

    /// The child's side: waits for [`Message::Proceed`].
    pub(crate) fn await_proceed(&self) -> Result<()> {
        match self.receive()? {
            Some((Message::Proceed, _)) => Ok(()),
            other => Err(unexpected(other.map(|(message, _)| message))),
        }
    }
}

/// A descriptor to be told of by somebody who may then do little: `write` and `read`, nothing else.
#[derive(Debug)]
pub(crate) struct Announced {
    fd: i32,
    packet: Vec<u8>,
}

impl Announced {
    /// Tells of it and waits until it is taken. It stays open until `execve`, which needs no call that may be forbidden.
    pub(crate) fn tell(self, channel: &Channel, listener: Option<OwnedFd>) -> Result<()> {
        if listener.map(IntoRawFd::into_raw_fd) != Some(self.fd) {
            return Err(Error::new(ErrorKind::Internal, "cannot tell of the seccomp descriptor")
                .because("it has another number than was free before"));
        }
        rustix::io::write(&channel.0, &self.packet).cannot(|| "tell of the seccomp descriptor".into())?;
        match rustix::io::read(&channel.0, &mut [0; 64]) {
            Ok(1..) => Ok(()),
            Ok(0) => Err(unexpected(None)),
            Err(errno) => Err(errno).cannot(|| "wait until the seccomp descriptor is taken".into()),
        }
    }
}

fn packet(message: &Message) -> Result<Vec<u8>> {
    serde_json::to_vec(message)
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot write a message").because(error))
}

/// A packet that has no place here, or the end where one was due.
pub(crate) fn unexpected(message: Option<Message>) -> Error {
    let why = match message {
        Some(message) => format!("unexpected message {message:?}"),
        None => "the other side has gone".into(),
    };
    Error::new(ErrorKind::Internal, "cannot go on with the container's creation").because(why)
}
