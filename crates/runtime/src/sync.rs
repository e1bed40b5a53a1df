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
    os::fd::{AsFd, BorrowedFd, OwnedFd},
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
    /// To the child: go on.
    Proceed,
    /// To the child: its facts are written down; somebody else will start it.
    Detach,
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
        let bytes = serde_json::to_vec(message)
            .map_err(|error| Error::new(ErrorKind::Internal, "cannot write a message").because(error))?;
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
        let mut buffer = vec![0; MAX_PACKET];
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

    /// The child's side: waits for [`Message::Proceed`].
    pub(crate) fn await_proceed(&self) -> Result<()> {
        match self.receive()? {
            Some((Message::Proceed, _)) => Ok(()),
            other => Err(unexpected(other.map(|(message, _)| message))),
        }
    }
}

/// A packet that has no place here, or the end where one was due.
pub(crate) fn unexpected(message: Option<Message>) -> Error {
    let why = match message {
        Some(message) => format!("unexpected message {message:?}"),
        None => "the other side has gone".into(),
    };
    Error::new(ErrorKind::Internal, "cannot go on with the container's creation").because(why)
}
