//! CRIU at work: `criu swrk`, which takes one request on a socket, tells of the points it reaches, and ends.

use super::{
    program,
    wire::Message,
    words::{self, Answer, Features, Kind, Version},
};
use crate::{
    cgroup::{Cgroup, Entry},
    container::reap,
    error::Cannot,
    init,
    sync::{Channel, Message as Told, unexpected},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, IoSliceMut},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags,
        SocketType, recvmsg, send, socketpair,
    },
    thread::UnshareFlags,
};
use sampan_sys::clone::{self, Child};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    ffi::{CString, OsString},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

/// The longest answer: notifications and a line of the log.
const MAX_ANSWER: usize = 64 << 10;

/// How long CRIU may take to end when it has answered.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Where CRIU runs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Surroundings<'a> {
    /// In a mount namespace of its own.
    pub(super) own_mounts: bool,
    /// The control group it is in, and all that it restores with it.
    pub(super) group: Option<(&'a Cgroup, &'a Entry)>,
}

/// A CRIU that runs.
#[derive(Debug)]
pub(super) struct Service {
    program: PathBuf,
    version: Version,
    socket: Option<OwnedFd>,
    directories: Vec<i32>,
    child: Child,
}

impl Service {
    /// Starts it, and asks for its version. `prepare` is run in its process before, and gives the directories of the images and of its
    /// work, which stay open.
    ///
    /// CRIU takes numbers of descriptors for those of who has made the socket, and works in the directory of its images. That has to be of its
    /// own mount namespace; so socket and directories are made in its process.
    pub(super) fn start(
        program: &Path,
        surroundings: Surroundings<'_>,
        prepare: impl Fn() -> Result<[OwnedFd; 2]>,
    ) -> Result<Self> {
        let (channel, reporter) = Channel::pair()?;
        let namespaces = if surroundings.own_mounts { UnshareFlags::NEWNS } else { UnshareFlags::empty() };
        let entry = surroundings.group.map(|(_, entry)| entry);
        let directory = entry.and_then(Entry::directory);
        let child = clone::clone(namespaces, directory, || {
            init::report(&reporter, || {
                sampan_sys::signal::reset();
                entry.map_or(Ok(()), Entry::enter)?;
                let directories = prepare()?;
                Err(serve(program, &directories, &reporter)?)
            })
        })
        .cannot(|| format!("start {}", program.display()))?;
        drop(reporter);
        let admitted = surroundings.group.map_or(Ok(()), |(cgroup, entry)| cgroup.admit(entry, child.pid));
        let begun = admitted.and_then(|()| channel.expect("start criu"));
        let (socket, directories) = match begun {
            Ok((Told::Tool { directories }, mut fds)) if fds.len() == 1 => (fds.pop(), directories),
            other => {
                // The first failure is the one to tell.
                let _ = reap(&child.pidfd);
                return Err(other.map_or_else(|error| error, |(message, _)| unexpected(Some(message))));
            }
        };
        let mut service =
            Self { program: program.to_owned(), version: (0, 0, 0), socket, directories, child };
        if let Some((Told::Failed(failure), _)) = channel.receive()? {
            return Err(failure.into());
        }
        service.version = service.ask(&words::question(Kind::Version))?.version;
        program::check(program, service.version)?;
        Ok(service)
    }

    /// The numbers of its directories in its process: of the images, and of its work.
    pub(super) fn directories(&self) -> &[i32] {
        &self.directories
    }

    /// What it can do with this kernel.
    pub(super) fn features(&self) -> Result<Features> {
        self.ask(&words::feature_question()).map(|answer| answer.features)
    }

    /// Its version, as it is written.
    pub(super) fn version(&self) -> String {
        program::shown(self.version)
    }

    fn ask(&self, question: &Message) -> Result<Answer> {
        self.send(question)?;
        self.receive().map(|(answer, _)| answer)
    }

    /// Has a request done. `notified` is told of each point that is reached, with the descriptors that come along; where it
    /// fails, CRIU gives up, and that failure is the one that is returned.
    ///
    /// The answer may be that CRIU has failed.
    pub(super) fn request(
        &self,
        request: &Message,
        mut notified: impl FnMut(&Answer, Vec<OwnedFd>) -> Result<()>,
    ) -> Result<Answer> {
        self.send(request)?;
        let mut failure = None;
        loop {
            let (answer, fds) = match self.receive() {
                Ok(received) => received,
                // What it has written to its log may say why.
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    let message = error.causes().join(": ");
                    return failure.map_or(Ok(Answer { message, ..Answer::default() }), Err);
                }
                Err(error) => return Err(failure.unwrap_or(error)),
            };
            if answer.kind != Kind::Notify as i64 {
                return failure.map_or(Ok(answer), Err);
            }
            let done = notified(&answer, fds);
            let success = done.is_ok();
            failure = failure.or(done.err());
            self.send(&words::acknowledgement(success))?;
        }
    }

    fn send(&self, message: &Message) -> Result<()> {
        let Some(socket) = &self.socket else { return Err(self.ended()) };
        match rustix::io::retry_on_intr(|| send(socket, message.bytes(), SendFlags::NOSIGNAL)) {
            Ok(_) => Ok(()),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(self.ended()),
            Err(errno) => Err(errno).cannot(|| format!("ask {}", self.program.display())),
        }
    }

    fn receive(&self) -> Result<(Answer, Vec<OwnedFd>)> {
        let Some(socket) = &self.socket else { return Err(self.ended()) };
        let mut buffer = vec![0; MAX_ANSWER];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let count = loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            match recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Ok(message) => break message.bytes,
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => break 0,
                Err(errno) => return Err(errno).cannot(|| format!("hear {}", self.program.display())),
            }
        };
        let mut fds = Vec::new();
        for part in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = part {
                fds.extend(received);
            }
        }
        if count == 0 {
            return Err(self.ended());
        }
        Answer::read(&buffer[..count]).map(|answer| (answer, fds)).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("cannot hear {}", self.program.display()))
                .because("its answer is damaged")
        })
    }

    fn ended(&self) -> Error {
        Error::new(ErrorKind::Unavailable, format!("cannot use {}", self.program.display()))
            .because("it ended without an answer")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It ends when nobody can ask for more.
        self.socket = None;
        let mut entries = [PollFd::new(&self.child.pidfd, PollFlags::IN)];
        let _ = rustix::io::retry_on_intr(|| poll(&mut entries, Some(&PATIENCE)));
        let _ = reap(&self.child.pidfd);
    }
}

/// In the process that is to be CRIU: comes back only with the reason why it does not run.
fn serve(program: &Path, directories: &[OwnedFd; 2], reporter: &Channel) -> Result<Error> {
    let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .cannot(|| "make a socket pair".into())?;
    // A copy that stays open at `execve`.
    let theirs = rustix::io::dup(&theirs).cannot(|| "pass a socket on".into())?;
    let numbers = directories.iter().map(|directory| directory.as_raw_fd()).collect();
    let text = |bytes: &[u8]| CString::new(bytes).cannot(|| format!("call {}", program.display()));
    let number = theirs.as_raw_fd().to_string();
    let argv = ["criu", "swrk", &number].into_iter().map(|word| text(word.as_bytes()));
    let argv = argv.collect::<Result<Vec<_>>>()?;
    let pair =
        |(name, value): (OsString, OsString)| text(&[name.as_bytes(), b"=", value.as_bytes()].concat());
    let envp = std::env::vars_os().map(pair).collect::<Result<Vec<_>>>()?;
    let path = text(program.as_os_str().as_bytes())?;
    reporter.send(&Told::Tool { directories: numbers }, &[socket.as_fd()])?;
    drop(socket);
    let error = sampan_sys::exec::execve(&path, &argv, &envp);
    Ok(Error::io(format!("cannot run {}", program.display()), error))
}
