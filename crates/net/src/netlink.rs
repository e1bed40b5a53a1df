//! A netlink socket and batches of messages (netlink(7), RFC 3549). Encoding is `netlink-bindings`'; this is the rest:
//! headers, sequence numbers, acknowledgements, and errors that name the step that failed.

use netlink_bindings::{
    traits::{NetlinkRequest, Protocol},
    utils::find_attr,
};
use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType},
};
use sampan_types::{Error, ErrorKind};
use std::{ffi::CStr, fmt, io};

/// Flags of `struct nlmsghdr` (linux/netlink.h).
mod flag {
    pub(super) const REQUEST: u16 = 0x1;
    pub(super) const ACK: u16 = 0x4;
    pub(super) const DUMP_INTERRUPTED: u16 = 0x10;
    pub(super) const ACK_HAS_ATTRIBUTES: u16 = 0x200;
}
/// Types of control messages (linux/netlink.h).
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Attribute of an error with the kernel's sentence (`NLMSGERR_ATTR_MSG`).
const ERROR_TEXT: u16 = 1;
/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;
/// What the kernel fills at most in one go of a dump.
const RECEIVE: usize = 32 * 1024;
/// How often a dump is begun anew when what it lists changes under it.
const DUMP_TRIES: usize = 16;

/// Why the kernel did not do a step.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// The step, as `add the address 10.1.2.3/24`.
    step: String,
    /// The kernel's error number.
    pub(crate) errno: Errno,
    /// The kernel's sentence about it, where it has one.
    text: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.step)?;
        self.text.iter().try_for_each(|text| write!(f, " ({text})"))
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.errno)
    }
}

impl Refusal {
    /// A step that failed without the kernel's saying more.
    pub(crate) fn new(step: impl Into<String>, errno: Errno) -> Self {
        Self { step: step.into(), errno, text: None }
    }

    /// The failed step as the crates above see it; `what` names the network or endpoint.
    pub(crate) fn into_error(self, what: impl Into<String>) -> Error {
        let what = what.into();
        let kind = Error::io("", io::Error::from(self.errno)).kind();
        let error = Error::new(kind, what).because(self);
        match kind {
            ErrorKind::PermissionDenied => error.hint("run as root: CAP_NET_ADMIN is needed"),
            _ => error,
        }
    }
}

/// Messages that go to the kernel in one system call.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Where each message starts, and what it does.
    steps: Vec<(usize, String)>,
    /// The last message that takes an acknowledgement.
    last: Option<usize>,
}

impl Batch {
    /// Adds a message; `step` says what it does, for the error.
    pub(crate) fn push(&mut self, step: impl Into<String>, request: &impl NetlinkRequest) {
        self.last = Some(self.steps.len());
        self.append(step.into(), request);
    }

    /// Adds a message that the kernel does not acknowledge: an nf_tables batch's begin and end.
    pub(crate) fn push_mark(&mut self, step: &str, request: &impl NetlinkRequest) {
        self.append(step.to_owned(), request);
    }

    /// Whether nothing has been added that does something.
    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    fn append(&mut self, step: String, request: &impl NetlinkRequest) {
        let kind = match request.protocol() {
            Protocol::Raw { request_type, .. } => request_type,
            // Generic netlink is not spoken here; type 0 does nothing (NLMSG_NOOP is 1, 0 is refused).
            Protocol::Generic(_) => 0,
        };
        self.steps.push((self.bytes.len(), step));
        let payload = request.payload();
        self.bytes.extend(((HEADER + payload.len()) as u32).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((request.flags() | flag::REQUEST).to_ne_bytes());
        // The sequence number, set when sent, and the port id, which the kernel knows.
        self.bytes.extend([0; 8]);
        self.bytes.extend(payload);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Numbers the messages from `first` and asks for an acknowledgement of the last, whose number it gives.
    fn seal(&mut self, first: u32) -> Option<u32> {
        for (sequence, (at, _)) in (first..).zip(&self.steps) {
            self.bytes[at + 8..at + 12].copy_from_slice(&sequence.to_ne_bytes());
        }
        let last = self.last?;
        let at = self.steps[last].0;
        let flags = u16::from_ne_bytes([self.bytes[at + 6], self.bytes[at + 7]]) | flag::ACK;
        self.bytes[at + 6..at + 8].copy_from_slice(&flags.to_ne_bytes());
        Some(first + last as u32)
    }
}

/// A socket to one netlink family, in the network namespace that the thread was in when it was opened.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// A socket for links, addresses and routes.
    pub(crate) fn route() -> Result<Self, Refusal> {
        // NETLINK_ROUTE is 0, which is what leaving the protocol out means.
        Self::open(None)
    }

    /// A socket for the firewall.
    pub(crate) fn netfilter() -> Result<Self, Refusal> {
        Self::open(Some(net::netlink::NETFILTER))
    }

    fn open(protocol: Option<net::Protocol>) -> Result<Self, Refusal> {
        let fd = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
            .map_err(|errno| Refusal::new("open a netlink socket", errno))?;
        // Without it, errors are only shorter.
        let _ = sampan_sys::netlink::explain_errors(&fd);
        Ok(Self { fd, sequence: 1, buffer: vec![0; RECEIVE] })
    }

    /// The socket itself.
    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Sends the batch and waits until the kernel has done all of it. An nf_tables batch is done wholly or not at all;
    /// of other batches each message stands for itself, and the first that failed is the error.
    pub(crate) fn commit(&mut self, mut batch: Batch) -> Result<(), Refusal> {
        let first = self.sequence;
        self.sequence += batch.steps.len() as u32;
        let Some(last) = batch.seal(first) else { return Ok(()) };
        let step = |sequence: u32| match batch.steps.get(sequence.wrapping_sub(first) as usize) {
            Some((_, step)) => step.clone(),
            None => "change the network".to_owned(),
        };
        net::send(&self.fd, &batch.bytes, SendFlags::empty())
            .map_err(|errno| Refusal::new(step(last), errno))?;
        loop {
            let length = self.receive().map_err(|errno| Refusal::new(step(last), errno))?;
            for message in Messages(&self.buffer[..length]) {
                // Answers to a batch that failed earlier are stale.
                if message.kind != ERROR || message.sequence < first {
                    continue;
                }
                if let Some(errno) = message.errno() {
                    return Err(Refusal { step: step(message.sequence), errno, text: message.text() });
                }
                if message.sequence == last {
                    return Ok(());
                }
            }
        }
    }

    /// Sends one request that is answered, by one message or a dump, and gives what `parse` makes of each answer;
    /// `step` names it in errors.
    pub(crate) fn ask<R: NetlinkRequest, T>(
        &mut self,
        step: &str,
        request: &R,
        mut parse: impl FnMut(R::ReplyType<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Refusal> {
        for _ in 0..DUMP_TRIES {
            let mut batch = Batch::default();
            batch.push(step, request);
            let sequence = self.sequence;
            self.sequence += 1;
            batch.seal(sequence);
            net::send(&self.fd, &batch.bytes, SendFlags::empty())
                .map_err(|errno| Refusal::new(step, errno))?;
            let mut found = Vec::new();
            if self.answers(step, sequence, |payload| found.extend(parse(R::decode_reply(payload))))? {
                return Ok(found);
            }
        }
        Err(Refusal::new(step, Errno::AGAIN))
    }

    /// Reads the answers to the request numbered `sequence`; false when the dump was disturbed.
    fn answers(&mut self, step: &str, sequence: u32, mut each: impl FnMut(&[u8])) -> Result<bool, Refusal> {
        let mut whole = true;
        loop {
            let length = self.receive().map_err(|errno| Refusal::new(step, errno))?;
            for message in Messages(&self.buffer[..length]).filter(|message| message.sequence == sequence) {
                whole &= message.flags & flag::DUMP_INTERRUPTED == 0;
                match message.kind {
                    ERROR | DONE => match message.errno() {
                        Some(errno) => {
                            return Err(Refusal { step: step.to_owned(), errno, text: message.text() });
                        }
                        None => return Ok(whole),
                    },
                    _ => each(message.payload),
                }
            }
        }
    }

    fn receive(&mut self) -> Result<usize, Errno> {
        let (_, length) =
            rustix::io::retry_on_intr(|| net::recv(&self.fd, self.buffer.as_mut_slice(), RecvFlags::TRUNC))?;
        if length > self.buffer.len() { Err(Errno::MSGSIZE) } else { Ok(length) }
    }
}

/// A message from the kernel.
struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

impl Message<'_> {
    /// The error number of an error or of the end of a dump; `None` means that all went well.
    fn errno(&self) -> Option<Errno> {
        let code = i32::from_ne_bytes(*self.payload.first_chunk()?);
        (code != 0).then(|| Errno::from_raw_os_error(-code))
    }

    /// The kernel's sentence. It follows the refused message's header, which is all that is repeated of it.
    fn text(&self) -> Option<String> {
        let attributes =
            self.payload.get(4 + HEADER..).filter(|_| self.flags & flag::ACK_HAS_ATTRIBUTES != 0)?;
        let text = CStr::from_bytes_until_nul(find_attr(attributes, ERROR_TEXT)?).ok()?;
        Some(text.to_string_lossy().into_owned())
    }
}

/// The messages in one receive's bytes.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let header: &[u8; HEADER] = self.0.first_chunk()?;
        let word =
            |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let half = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let length = word(0) as usize;
        let payload = self.0.get(HEADER..length)?;
        let message = Message { kind: half(4), flags: half(6), sequence: word(8), payload };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    }
}
