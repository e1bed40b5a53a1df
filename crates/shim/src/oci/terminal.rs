//! A terminal of the container's own, shown on the caller's streams.

use rustix::{
    event::{PollFd, PollFlags},
    fd::{AsFd as _, OwnedFd},
    io::Errno,
    stdio::{stdin, stdout},
    termios::{OptionalActions, OutputModes, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize},
};
use sampan_types::{Error, Result, spec::ConsoleSize};

/// As much as is read at once, and as much input as waits for a program that does not read.
const CHUNK: usize = 16 << 10;

/// The master of a terminal between the caller and the container.
#[derive(Debug)]
pub(super) struct Terminal {
    master: OwnedFd,
    /// How the caller's terminal was; `None` where standard input is none.
    before: Option<Termios>,
    /// Input that the container's terminal has had no room for.
    pending: Vec<u8>,
    input_open: bool,
    output_open: bool,
}

impl Terminal {
    /// Takes over a master; the caller's terminal, where standard input is one, becomes raw.
    pub(super) fn new(master: OwnedFd) -> Result<Self> {
        let failed = |errno: Errno| Error::io("cannot set up the terminal", errno.into());
        // What is shown is not the program's last reader: its newlines are left to the caller's terminal.
        let mut modes = tcgetattr(&master).map_err(failed)?;
        modes.output_modes.remove(OutputModes::ONLCR);
        tcsetattr(&master, OptionalActions::Now, &modes).map_err(failed)?;
        rustix::io::ioctl_fionbio(&master, true).map_err(failed)?;
        let before = tcgetattr(stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            raw.output_modes.insert(OutputModes::OPOST);
            tcsetattr(stdin(), OptionalActions::Drain, &raw).map_err(failed)?;
        }
        Ok(Self { master, before, pending: Vec::new(), input_open: true, output_open: true })
    }

    /// The size of the caller's terminal, where standard input is one.
    pub(super) fn callers_size() -> Option<ConsoleSize> {
        let size = tcgetwinsize(stdin()).ok().filter(|size| size.ws_row > 0)?;
        Some(ConsoleSize { height: size.ws_row, width: size.ws_col })
    }

    /// Gives the container's terminal the caller's size, where that has one.
    pub(super) fn resize(&self) {
        if let Ok(size) = tcgetwinsize(stdin())
            && size.ws_row > 0
        {
            // Fails only when the terminal is gone.
            let _ = tcsetwinsize(&self.master, size);
        }
    }

    /// What to wait for.
    pub(super) fn interest(&self) -> Vec<PollFd<'_>> {
        let mut flags = PollFlags::empty();
        if self.output_open {
            flags |= PollFlags::IN;
        }
        if !self.pending.is_empty() {
            flags |= PollFlags::OUT;
        }
        let mut entries = Vec::with_capacity(2);
        if !flags.is_empty() {
            entries.push(PollFd::from_borrowed_fd(self.master.as_fd(), flags));
        }
        if self.input_open && self.pending.is_empty() {
            entries.push(PollFd::from_borrowed_fd(stdin(), PollFlags::IN));
        }
        entries
    }

    /// Copies what is there. `input` says that standard input can be read without waiting.
    pub(super) fn copy(&mut self, input: bool) {
        self.copy_output();
        if input && self.pending.is_empty() {
            let mut buffer = vec![0; CHUNK];
            match rustix::io::read(stdin(), &mut buffer) {
                Ok(count @ 1..) => self.pending.extend_from_slice(&buffer[..count]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Ok(0) | Err(_) => self.input_open = false,
            }
        }
        while !self.pending.is_empty() {
            match rustix::io::write(&self.master, &self.pending) {
                Ok(count) => _ = self.pending.drain(..count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.pending.clear();
                    self.input_open = false;
                }
            }
        }
    }

    /// Copies all that the terminal has to show at this moment.
    pub(super) fn copy_output(&mut self) {
        let mut buffer = vec![0; CHUNK];
        while self.output_open {
            match rustix::io::read(&self.master, &mut buffer) {
                Ok(count @ 1..) => self.output_open = write_all(&buffer[..count]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // The last process has closed it (pty(7)).
                Ok(0) | Err(_) => self.output_open = false,
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // The caller's terminal may be gone; nothing is left to restore then.
            let _ = tcsetattr(stdin(), OptionalActions::Drain, before);
        }
    }
}

/// To standard output, also where it does not block; false when it is closed.
fn write_all(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match rustix::io::write(stdout(), bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut entries = [PollFd::from_borrowed_fd(stdout(), PollFlags::OUT)];
                let _ = rustix::event::poll(&mut entries, None);
            }
            Err(_) => return false,
        }
    }
    true
}
