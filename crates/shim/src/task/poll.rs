//! What the task waits for, and who acts when it comes.

use super::Task;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd as _, BorrowedFd},
    io::Errno,
};
use sampan_runtime::Container;
use sampan_types::{Error, Result, task::TaskStatus};
use std::time::{Duration, Instant};

/// One thing that can happen. Numbers are places in the task's lists, which do not shift before all is handled.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Listener,
    Connection(usize),
    Attacher(usize),
    Input,
    Output(usize),
    Exec(u32),
    ExecConsole(u32),
    Init,
}

impl Task {
    /// Sleeps until something happens or becomes due.
    ///
    /// The set is made anew each time from the state of the parts, so that there is no second account of who waits
    /// for what; it is small, and poll(2) costs no more than its making.
    pub(super) fn wait(&self) -> Result<Vec<(Source, PollFlags)>> {
        let watched = self.watched();
        let mut fds: Vec<_> =
            watched.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        match poll(&mut fds, self.patience().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::io("cannot wait for the container", errno.into())),
        }
        let happened = fds.iter().zip(&watched).filter(|(fd, _)| !fd.revents().is_empty());
        Ok(happened.map(|(fd, (source, ..))| (*source, fd.revents())).collect())
    }

    fn watched(&self) -> Vec<(Source, BorrowedFd<'_>, PollFlags)> {
        let mut watched = Vec::new();
        let mut add = |source, (fd, flags)| watched.push((source, fd, flags));
        if self.accept_at.is_none() {
            add(Source::Listener, (self.listener.as_fd(), PollFlags::IN));
        }
        for (at, connection) in self.connections.iter().enumerate() {
            add(Source::Connection(at), connection.interest());
        }
        let room = self.streams.input.has_room();
        for (at, attacher) in self.attachers.iter().enumerate() {
            attacher.interest(room).into_iter().for_each(|interest| add(Source::Attacher(at), interest));
        }
        self.streams.input.interest().into_iter().for_each(|interest| add(Source::Input, interest));
        // The foreground's back-pressure: what is not read here fills the container's pipe.
        if !self.attachers.iter().any(|attacher| attacher.holds_back()) {
            for (at, output) in self.streams.outputs.iter().enumerate() {
                output.interest().into_iter().for_each(|interest| add(Source::Output(at), interest));
            }
        }
        for (number, exec) in &self.execs {
            add(Source::Exec(*number), exec.interest());
            let orphaned = !self.connections.iter().any(|connection| connection.number == exec.connection);
            if let (Some(console), true) = (exec.console(), orphaned) {
                add(Source::ExecConsole(*number), (console, PollFlags::IN));
            }
        }
        let init = self.container.as_ref().and_then(Container::pidfd);
        if let (Some(init), true) = (init, self.state.status != TaskStatus::Stopped) {
            add(Source::Init, (init, PollFlags::IN));
        }
        watched
    }

    /// How long nothing is due; `None` is for ever.
    fn patience(&self) -> Option<Timespec> {
        let stuck = self.attachers.iter().filter_map(|attacher| attacher.deadline());
        let due = stuck.chain(self.kill_at).chain(self.accept_at).min()?;
        // One millisecond more, so that the clock has passed the point when this returns.
        let patience = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        patience.try_into().ok()
    }

    /// Lets the part act to which something happened.
    pub(super) fn handle(&mut self, source: Source, flags: PollFlags) {
        match source {
            Source::Listener => self.accept(),
            Source::Connection(at) => self.serve(at, flags),
            Source::Attacher(at) => self.attacher_ready(at, flags),
            Source::Input => {
                self.streams.input.ready(flags);
                self.refuse_input_after_its_end();
            }
            Source::Output(at) => {
                self.read_output(at);
            }
            Source::Exec(number) => self.exec_ready(number),
            Source::ExecConsole(number) => {
                if let Some(exec) = self.execs.get_mut(&number) {
                    exec.discard(&mut self.buffer);
                }
            }
            Source::Init => self.init_ready(),
        }
    }
}
