//! One client of the protocol in `sampan_types::task`: frames in, frames out, nothing blocks.

use rustix::{
    event::PollFlags,
    fd::{AsFd as _, BorrowedFd, OwnedFd},
    io::{Errno, IoSlice},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
};
use sampan_sys::channel::{self, FrameReader, Progress};
use sampan_types::task::{Reply, Request};
use std::{collections::VecDeque, io, mem::MaybeUninit};

/// A client that leaves this many replies unread is not read from.
const UNREAD: usize = 64;

/// A frame on its way out; its descriptors go with its first byte.
#[derive(Debug)]
struct Outbound {
    bytes: Vec<u8>,
    written: usize,
    fds: Vec<OwnedFd>,
}

/// A connected client.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Tells connections apart for as long as the shim lives.
    pub(crate) number: u64,
    /// It is the engine that started this shim.
    pub(crate) is_origin: bool,
    /// Wants to hear of init's end.
    pub(crate) waits: bool,
    /// Has promised to tidy after init's end.
    pub(crate) cleans: bool,
    socket: OwnedFd,
    reader: FrameReader,
    outbound: VecDeque<Outbound>,
    closed: bool,
}

/// What a client sent.
#[derive(Debug)]
pub(crate) enum Received {
    /// A request and the descriptors that came along.
    Request(Request, Vec<OwnedFd>),
    /// A frame that is no request; why.
    Nonsense(String),
    /// Nothing more for now.
    Nothing,
}

impl Connection {
    /// Takes a stream socket and makes it non-blocking.
    pub(crate) fn new(number: u64, socket: OwnedFd, is_origin: bool) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self {
            number,
            is_origin,
            waits: false,
            cleans: false,
            socket,
            reader: FrameReader::new(),
            outbound: VecDeque::new(),
            closed: false,
        })
    }

    /// Gives the socket back.
    pub(crate) fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Queues a reply with descriptors and writes what the client takes now.
    pub(crate) fn send(&mut self, reply: &Reply, fds: Vec<OwnedFd>) {
        match serde_json::to_vec(reply) {
            Ok(json) => {
                let mut bytes = Vec::with_capacity(4 + json.len());
                bytes.extend_from_slice(&(json.len() as u32).to_be_bytes());
                bytes.extend_from_slice(&json);
                self.outbound.push_back(Outbound { bytes, written: 0, fds });
                self.flush();
            }
            // A reply holds only strings and numbers; should one not be writable, the connection ends and not the task.
            Err(_) => self.closed = true,
        }
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) {
        while let Some(frame) = self.outbound.front_mut() {
            match send_part(&self.socket, frame) {
                Ok(()) if frame.written == frame.bytes.len() => drop(self.outbound.pop_front()),
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.closed = true;
                    return;
                }
            }
        }
    }

    /// The next request. A broken frame closes the connection, since nobody knows where the next one begins; a frame
    /// that is no request does not.
    pub(crate) fn receive(&mut self) -> Received {
        match self.reader.read(&self.socket) {
            Ok(Progress::Frame(frame)) => match serde_json::from_slice(&frame.bytes) {
                Ok(request) => Received::Request(request, frame.fds),
                Err(error) => Received::Nonsense(error.to_string()),
            },
            Ok(Progress::Partial) => Received::Nothing,
            Ok(Progress::Closed) | Err(_) => {
                self.closed = true;
                Received::Nothing
            }
        }
    }

    /// Takes note that the client has closed its end.
    pub(crate) fn hang_up(&mut self) {
        self.closed = true;
    }

    /// The client has closed, or broken the protocol.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// It leaves too many replies unread to be asked for more.
    pub(crate) fn is_behind(&self) -> bool {
        self.outbound.len() >= UNREAD
    }

    /// What to poll for.
    pub(crate) fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, !self.is_behind());
        flags.set(PollFlags::OUT, !self.outbound.is_empty());
        (self.socket.as_fd(), flags)
    }
}

/// Writes a part of a frame, its descriptors with the first.
fn send_part(socket: &OwnedFd, frame: &mut Outbound) -> Result<(), Errno> {
    let fds: Vec<BorrowedFd<'_>> = frame.fds.iter().map(|fd| fd.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(channel::MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::TOOBIG);
    }
    let rest = IoSlice::new(&frame.bytes[frame.written..]);
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    frame.written += sendmsg(socket, &[rest], &mut control, flags)?;
    frame.fds.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn pair() -> (UnixStream, Connection) {
        let (client, socket) = UnixStream::pair().unwrap();
        (client, Connection::new(1, socket.into(), false).unwrap())
    }

    #[test]
    fn a_frame_that_is_no_request_leaves_the_connection_open() {
        let (client, mut connection) = pair();
        channel::send(&client, b"{\"dance\":{}}", &[]).unwrap();
        channel::send(&client, b"\"state\"", &[]).unwrap();
        let Received::Nonsense(why) = connection.receive() else { panic!("a dance was understood") };
        assert!(why.contains("unknown variant `dance`"), "{why}");
        assert!(matches!(connection.receive(), Received::Request(Request::State, _)));
        assert!(matches!(connection.receive(), Received::Nothing));
        assert!(!connection.is_closed());
        drop(client);
        assert!(matches!(connection.receive(), Received::Nothing));
        assert!(connection.is_closed());
    }

    #[test]
    fn a_client_that_does_not_read_blocks_nobody() {
        let (client, mut connection) = pair();
        while connection.interest().1.contains(PollFlags::IN) {
            connection.send(&Reply::Done, Vec::new());
        }
        let (reader, _writer) = rustix::pipe::pipe().unwrap();
        connection.send(&Reply::Attached, vec![reader]);
        let mut received = 0;
        loop {
            connection.flush();
            let frame = channel::recv(&client).unwrap().unwrap();
            received += 1;
            if !frame.fds.is_empty() {
                assert_eq!(frame.bytes, b"\"attached\"");
                break;
            }
            assert_eq!(frame.bytes, b"\"done\"");
        }
        assert!(received > UNREAD);
        assert!(connection.interest().1.contains(PollFlags::IN));
    }
}
