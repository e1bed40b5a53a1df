//! The few rtnetlink messages that moving a link takes (rtnetlink(7)), written and read by hand: the shim carries this
//! code in every container, and a library of all messages would be larger than all the rest.

use crate::error::Cannot;
use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType},
};
use sampan_types::{Error, Result};
use std::ffi::CStr;

/// Types of messages (linux/rtnetlink.h).
pub(super) mod kind {
    pub(crate) const NEW_LINK: u16 = 16;
    pub(crate) const GET_LINK: u16 = 18;
    pub(crate) const SET_LINK: u16 = 19;
    pub(crate) const NEW_ADDRESS: u16 = 20;
    pub(crate) const GET_ADDRESS: u16 = 22;
}

/// Flags of a request (linux/netlink.h).
pub(super) mod flag {
    pub(crate) const REQUEST: u16 = 0x1;
    pub(crate) const ACK: u16 = 0x4;
    pub(crate) const DUMP: u16 = 0x300;
    pub(crate) const EXCLUSIVE: u16 = 0x200;
    pub(crate) const CREATE: u16 = 0x400;
}

const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Attribute of an error with the kernel's sentence (`NLMSGERR_ATTR_MSG`).
const ERROR_TEXT: u16 = 1;
const HEADER: usize = 16;
/// What the kernel fills at most in one go of a dump.
const RECEIVE: usize = 32 * 1024;

/// A request under construction: header, fixed part, attributes.
#[derive(Debug)]
pub(super) struct Request(Vec<u8>);

impl Request {
    pub(super) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | flag::REQUEST).to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Self(bytes)
    }

    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(super) fn text(self, kind: u16, value: &str) -> Self {
        self.attribute(kind, &[value.as_bytes(), b"\0"].concat())
    }

    fn seal(mut self) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// A message of the kernel's: its type and what follows the header.
pub(super) type Reply = (u16, Vec<u8>);

/// A socket in the network namespace that the thread was in when it was opened.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    pub(super) fn open() -> Result<Self> {
        // NETLINK_ROUTE is 0, which is what leaving the protocol out means.
        let fd = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .cannot(|| "open a netlink socket".into())?;
        // Without it, errors are only shorter.
        let _ = sampan_sys::netlink::explain_errors(&fd);
        Ok(Self(fd))
    }

    /// Sends a request and gives what comes before its end; `what` completes "cannot …".
    pub(super) fn ask(&self, request: Request, what: &str) -> Result<Vec<Reply>> {
        let bytes = request.seal();
        net::send(&self.0, &bytes, SendFlags::empty()).cannot(|| what.into())?;
        let mut replies = Vec::new();
        let mut buffer = vec![0; RECEIVE];
        // A request for one object is answered by it alone, all others by an end.
        let flags = u16::from_ne_bytes([bytes[6], bytes[7]]);
        let ends = flags & flag::ACK != 0 || flags & flag::DUMP == flag::DUMP;
        loop {
            let (count, _) =
                rustix::io::retry_on_intr(|| net::recv(&self.0, buffer.as_mut_slice(), RecvFlags::empty()))
                    .cannot(|| what.into())?;
            let mut rest = &buffer[..count];
            while let Some((kind, payload, next)) = message(rest) {
                rest = next;
                match kind {
                    ERROR | DONE => match refusal(payload) {
                        Some((errno, text)) => return Err(refused(what, errno, text)),
                        None => return Ok(replies),
                    },
                    kind => replies.push((kind, payload.to_vec())),
                }
            }
            if !ends {
                return Ok(replies);
            }
        }
    }
}

fn refused(what: &str, errno: Errno, text: Option<String>) -> Error {
    let explained = text.map(|text| format!(" ({text})")).unwrap_or_default();
    Error::io(format!("cannot {what}{explained}"), errno.into())
}

/// The first message of several, and the bytes after it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes([*bytes.get(4)?, *bytes.get(5)?]);
    let payload = bytes.get(HEADER..length)?;
    Some((kind, payload, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// What an error says; `None` for an acknowledgement.
fn refusal(payload: &[u8]) -> Option<(Errno, Option<String>)> {
    let code = i32::from_ne_bytes(*payload.first_chunk()?);
    // The refused message's header is repeated before the attributes.
    let text = payload.get(4 + HEADER..).and_then(|rest| find(rest, ERROR_TEXT));
    let text = text.and_then(|text| CStr::from_bytes_until_nul(text).ok());
    let text = text.map(|text| text.to_string_lossy().into_owned());
    (code != 0).then(|| (Errno::from_raw_os_error(-code), text))
}

/// An attribute's value.
pub(super) fn find(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]);
        let value = bytes.get(4..length)?;
        // The two highest bits are marks, not part of the number.
        if kind & 0x3fff == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_written_padded_and_found() {
        let bytes =
            Request::new(kind::GET_LINK, flag::ACK, &[7; 4]).text(3, "eth0").attribute(4, &[9]).seal();
        assert_eq!(bytes.len(), 16 + 4 + 12 + 8);
        assert_eq!(bytes[..8], [40, 0, 0, 0, 18, 0, 5, 0]);
        let attributes = &bytes[20..];
        assert_eq!(find(attributes, 3), Some(&b"eth0\0"[..]));
        assert_eq!(find(attributes, 4), Some(&[9][..]));
        assert_eq!(find(attributes, 5), None);
    }

    #[test]
    fn the_kernel_explains_itself() {
        let request = Request::new(kind::GET_LINK, 0, &[0; 16]).text(3, "no-such-link");
        let error = Socket::open().unwrap().ask(request, "find no-such-link").unwrap_err();
        assert_eq!(error.causes(), ["No such device (os error 19)"]);
    }
}
