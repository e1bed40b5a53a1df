//! Bytes on their way into a descriptor that does not block.

use rustix::{fd::AsFd, io::Errno};
use std::{collections::VecDeque, io};

/// Memory a queue keeps when it has run empty.
const KEPT: usize = 16 * 1024;

/// A queue of bytes. Its length is bounded by those who fill it.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    bytes: VecDeque<u8>,
}

impl Outgoing {
    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds bytes at the end.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Writes as much as the descriptor takes now; gives the number of bytes written.
    ///
    /// # Errors
    /// What `write(2)` says, except that it would block. After an error the queue is as it was.
    pub(crate) fn write_to(&mut self, fd: impl AsFd) -> io::Result<usize> {
        let mut total = 0;
        while !self.bytes.is_empty() {
            match rustix::io::write(&fd, self.bytes.as_slices().0) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(written) => {
                    self.bytes.drain(..written);
                    total += written;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEPT);
        }
        Ok(total)
    }
}
