//! The other end of `--console-socket`.

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::fs::File;
use std::io::{IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A socket that takes what a runtime sends: descriptors, and the bytes beside them.
pub(crate) struct ConsoleSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ConsoleSocket {
    /// Listens at a path. It must be shorter than 108 bytes.
    pub(crate) fn bind(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("a socket for the console");
        listener.set_nonblocking(true).expect("a socket that does not block");
        Self { listener, path: path.to_owned() }
    }

    /// Its path as a word of a command line.
    pub(crate) fn word(&self) -> &str {
        self.path.to_str().expect("a path in UTF-8")
    }

    /// Takes one connection and its message: the descriptors and the bytes.
    #[track_caller]
    pub(crate) fn receive(&self) -> (Vec<OwnedFd>, Vec<u8>) {
        let stream = self.accept();
        receive(&stream)
    }

    /// Takes one connection.
    #[track_caller]
    pub(crate) fn accept(&self) -> UnixStream {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).expect("a stream that blocks");
                    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
                    return stream;
                }
                Err(error) => {
                    assert!(Instant::now() < end, "nobody connects to {}: {error}", self.path.display())
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Takes the master of a terminal, and the bytes beside it.
    #[track_caller]
    pub(crate) fn master(&self) -> (Console, Vec<u8>) {
        let (mut descriptors, bytes) = self.receive();
        assert_eq!(descriptors.len(), 1, "one descriptor is sent with {:?}", String::from_utf8_lossy(&bytes));
        (Console { master: File::from(descriptors.remove(0)) }, bytes)
    }
}

/// Takes one message from a stream: the descriptors and the bytes.
#[track_caller]
pub(crate) fn receive(stream: &UnixStream) -> (Vec<OwnedFd>, Vec<u8>) {
    let mut bytes = vec![0; 64 * 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message =
        recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
            .expect("a message on the socket");
    bytes.truncate(message.bytes);
    let mut descriptors = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = part {
            descriptors.extend(some);
        }
    }
    (descriptors, bytes)
}

/// The master of a container's terminal.
pub(crate) struct Console {
    pub(crate) master: File,
}

impl Console {
    /// Types text.
    pub(crate) fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("the terminal takes input");
    }

    /// All that is shown until the last process at the terminal has closed it.
    pub(crate) fn rest(&mut self) -> String {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        // Ends with EIO when the last slave is closed (pty(7)).
        while let Ok(count @ 1..) = self.master.read(&mut buffer) {
            all.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    /// What is shown until this text has been shown.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) -> String {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let seen = String::from_utf8_lossy(&all).into_owned();
            if seen.contains(text) {
                return seen;
            }
            match self.master.read(&mut buffer) {
                Ok(count @ 1..) => all.extend_from_slice(&buffer[..count]),
                end => panic!("the terminal ends ({end:?}) without {text:?}: {seen}"),
            }
        }
    }
}
