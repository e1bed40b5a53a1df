//! Between the container's streams, its log, and attached clients.

use super::Task;
use crate::{
    attacher::{Attacher, Care, Received},
    streams::Chunk,
};
use rustix::{event::PollFlags, fd::OwnedFd};
use sampan_types::{Error, ErrorKind, Result, task::TaskStatus};
use std::time::SystemTime;

impl Task {
    /// Reads one output once and hands on what came. Gives whether anything did.
    pub(super) fn read_output(&mut self, at: usize) -> bool {
        let Some(output) = self.streams.outputs.get_mut(at) else { return false };
        let Chunk::Bytes(count) = output.read(&mut self.buffer) else { return false };
        let (stream, bytes) = (output.stream, &self.buffer[..count]);
        if let Some(log) = &mut self.log {
            log.append(stream, bytes, SystemTime::now());
        }
        self.attachers.iter_mut().for_each(|attacher| attacher.deliver(stream, bytes));
        true
    }

    /// Reads what is left once everything in the container is dead: only what its pipes still hold. An end that
    /// somebody outside holds open does not keep this waiting.
    pub(super) fn drain_outputs(&mut self) {
        for at in 0..self.streams.outputs.len() {
            while self.read_output(at) {}
        }
    }

    /// Connects a client to the streams; gives its end of the socket.
    pub(super) fn attach(&mut self, is_origin: bool, stdin: bool) -> Result<OwnedFd> {
        let status = self.state.status;
        if status == TaskStatus::Stopped {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("cannot attach to container {}", self.state.id.short()),
            )
            .because("it has ended"));
        }
        let care = match is_origin || stdin || status == TaskStatus::Created {
            true => Care::Foreground,
            false => Care::Observer,
        };
        let (mut attacher, client) =
            Attacher::pair(care, !self.streams.is_terminal(), stdin).map_err(|error| {
                Error::io(format!("cannot attach to container {}", self.state.id.short()), error)
            })?;
        if stdin && !self.streams.input.is_open() {
            attacher.end_input();
        }
        self.attachers.push(attacher);
        Ok(client)
    }

    /// Something happened to an attacher's socket.
    pub(super) fn attacher_ready(&mut self, at: usize, flags: PollFlags) {
        let Some(attacher) = self.attachers.get_mut(at) else { return };
        if flags.intersects(PollFlags::HUP | PollFlags::ERR) {
            attacher.hang_up();
        }
        attacher.flush();
        let input = &mut self.streams.input;
        if attacher.is_reading() && input.has_room() {
            match attacher.receive(&mut self.buffer) {
                Received::Bytes(count) => input.push(&self.buffer[..count]),
                Received::Nothing => {}
                Received::End => input.end(),
                Received::Gone if self.bundle.task.stdin_once => input.end(),
                Received::Gone => {}
            }
        }
        self.refuse_input_after_its_end();
    }

    /// Clients learn that nobody reads any more what they write.
    pub(super) fn refuse_input_after_its_end(&mut self) {
        if !self.streams.input.is_open() {
            self.attachers.iter_mut().filter(|attacher| attacher.is_reading()).for_each(Attacher::end_input);
        }
    }
}
