//! The container's standard input: a pipe, or a terminal's master.

use crate::outgoing::Outgoing;
use rustix::{event::PollFlags, fd::OwnedFd};
use std::os::fd::{AsFd, BorrowedFd};

/// Attachers are not read from while this much waits to be written.
const BOUND: usize = 64 * 1024;

/// What attachers write on its way to the container. Never blocks.
#[derive(Debug)]
pub(crate) struct Input {
    /// `None` once it has ended, or where there is none.
    sink: Option<OwnedFd>,
    queue: Outgoing,
    /// Ended by an attacher; the descriptor is closed when the queue is written.
    ending: bool,
    terminal: bool,
}

impl Input {
    /// Standard input that is `/dev/null`.
    pub(crate) fn none() -> Self {
        Self { sink: None, queue: Outgoing::default(), ending: false, terminal: false }
    }

    /// The writing end of a pipe; must be non-blocking.
    pub(crate) fn pipe(sink: OwnedFd) -> Self {
        Self { sink: Some(sink), ..Self::none() }
    }

    /// The master of a terminal; must be non-blocking.
    pub(crate) fn terminal(master: OwnedFd) -> Self {
        Self { sink: Some(master), terminal: true, ..Self::none() }
    }

    /// Whether it can still take input: `false` after its end, or when the container has closed its side.
    pub(crate) fn is_open(&self) -> bool {
        self.sink.is_some() && !self.ending
    }

    /// Whether attachers should be read from now.
    pub(crate) fn has_room(&self) -> bool {
        self.is_open() && self.queue.len() < BOUND
    }

    /// Takes input; drops it after the end.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.is_open() {
            self.queue.push(bytes);
            self.flush();
        }
    }

    /// Ends the input when all is written. A terminal stays as it is: its end of input is a character (Ctrl-D) which
    /// only the program that reads can give a meaning.
    pub(crate) fn end(&mut self) {
        if !self.terminal {
            self.ending = true;
            self.flush();
        }
    }

    /// Writes what waits. A container that has closed its side ends the input.
    pub(crate) fn flush(&mut self) {
        let Some(sink) = &self.sink else { return };
        let failed = self.queue.write_to(sink).is_err();
        if failed && self.terminal {
            // Nobody has the terminal open: what was typed is lost, as on a line without anybody at its end.
            self.queue = Outgoing::default();
        } else if failed || (self.ending && self.queue.is_empty()) {
            self.close();
        }
    }

    /// Ends the input at once.
    pub(crate) fn close(&mut self) {
        self.sink = None;
        self.queue = Outgoing::default();
    }

    /// What to poll for. A pipe is always watched: `POLLERR` tells that the container closed its side (`poll(2)`).
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let sink = self.sink.as_ref()?.as_fd();
        match (self.queue.is_empty(), self.terminal) {
            (false, _) => Some((sink, PollFlags::OUT)),
            (true, false) => Some((sink, PollFlags::empty())),
            (true, true) => None,
        }
    }

    /// Reacts to what poll reported.
    pub(crate) fn ready(&mut self, flags: PollFlags) {
        if flags.contains(PollFlags::ERR) && !self.terminal {
            self.close();
        } else {
            self.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    fn pair() -> (OwnedFd, Input) {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        (reader, Input::pipe(writer))
    }

    #[test]
    fn the_end_comes_after_what_was_pushed() {
        let (reader, mut input) = pair();
        let sent = vec![7; 200_000];
        input.push(&sent);
        input.end();
        assert!(!input.is_open());
        let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            match rustix::io::read(&reader, &mut buffer) {
                Ok(0) => break,
                Ok(count) => received.extend_from_slice(&buffer[..count]),
                Err(_) => input.flush(),
            }
        }
        assert_eq!(received, sent);
    }

    #[test]
    fn a_full_pipe_stops_attachers() {
        let (_reader, mut input) = pair();
        input.push(&vec![0; 65_536]);
        assert!(input.has_room());
        input.push(&vec![0; BOUND]);
        assert!(!input.has_room() && input.is_open());
    }

    #[test]
    fn a_container_that_closed_its_side_takes_no_more() {
        let (reader, mut input) = pair();
        drop(reader);
        input.push(b"x");
        assert!(!input.is_open());
    }
}
