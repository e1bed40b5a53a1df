//! The container's log: a line of JSON for each line of output, as Docker's `json-file` driver writes them.
//!
//! `{"log":"text\n","stream":"stdout","time":"2026-03-01T09:08:07.000000042Z"}`. A line longer than [`PART`] becomes
//! several entries of which only the last ends in `\n`, so that a reader can join them again. Bytes that are not UTF-8
//! become U+FFFD, since JSON has no others.

pub(crate) mod timestamp;

use sampan_types::{Error, Result};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::SystemTime,
};

/// Most bytes of output in one entry; Docker's limit.
const PART: usize = 16 * 1024;
/// Entries are written when there are this many bytes of them.
const BATCH: usize = 32 * 1024;

/// Which output a byte came from; the number is that of Docker's attach frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output, and everything from a terminal.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// An open log. Entries stand in the order in which their output was read.
///
/// Nothing is synced to disk: a log is worth less than the container's speed.
#[derive(Debug)]
pub(crate) struct JsonLog {
    file: File,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Finished entries, written together.
    entries: Vec<u8>,
    /// The last write broke off in the middle of an entry; the next one starts on a new line.
    torn: bool,
    /// The last write failed, and that has been said.
    failing: bool,
}

impl JsonLog {
    /// Opens `path` for appending; creates it, readable by its owner alone, where it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| Error::io(format!("cannot open log {}", path.display()), error))?;
        Ok(Self {
            file,
            stdout: Vec::new(),
            stderr: Vec::new(),
            entries: Vec::new(),
            torn: false,
            failing: false,
        })
    }

    /// Logs what was read from a stream at `time`. An unfinished line is kept back until its end comes or it is
    /// [`PART`] bytes long.
    pub(crate) fn append(&mut self, stream: Stream, mut bytes: &[u8], time: SystemTime) {
        while !bytes.is_empty() {
            let pending = self.pending(stream);
            let room = PART - pending.len();
            let line = bytes.iter().take(room).position(|byte| *byte == b'\n').map(|at| at + 1);
            let (part, rest) = bytes.split_at(line.unwrap_or_else(|| room.min(bytes.len())));
            bytes = rest;
            pending.extend_from_slice(part);
            if line.is_some() {
                self.entry(stream, usize::MAX, time);
            } else if pending.len() == PART {
                let whole = whole_characters(pending);
                self.entry(stream, whole, time);
            }
        }
        self.write();
    }

    /// Logs the unfinished last lines.
    pub(crate) fn finish(&mut self, time: SystemTime) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !self.pending(stream).is_empty() {
                self.entry(stream, usize::MAX, time);
            }
        }
        self.write();
    }

    fn pending(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    /// Turns the first `length` pending bytes into an entry.
    fn entry(&mut self, stream: Stream, length: usize, time: SystemTime) {
        let mut pending = std::mem::take(self.pending(stream));
        let length = length.min(pending.len());
        self.entries.extend_from_slice(b"{\"log\":");
        append_string(&mut self.entries, &pending[..length]);
        self.entries.extend_from_slice(b",\"stream\":\"");
        self.entries.extend_from_slice(stream.name().as_bytes());
        self.entries.extend_from_slice(b"\",\"time\":\"");
        timestamp::append(&mut self.entries, time);
        self.entries.extend_from_slice(b"\"}\n");
        pending.drain(..length);
        *self.pending(stream) = pending;
        if self.entries.len() >= BATCH {
            self.write();
        }
    }

    /// Writes the finished entries. Where the disk refuses, they are lost and the container runs on, as with Docker;
    /// the shim's own log says so once until writing works again.
    fn write(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        let result = match self.torn {
            true => self.file.write_all(b"\n"),
            false => Ok(()),
        };
        let result = result.and_then(|()| write_whole(&mut self.file, &self.entries, &mut self.torn));
        self.entries.clear();
        self.entries.shrink_to(2 * BATCH);
        if let Err(error) = &result
            && !self.failing
        {
            eprintln!("sampan-shim: cannot write the container's log, output is being lost: {error}");
        }
        self.failing = result.is_err();
    }
}

/// Writes all of `bytes`; `torn` tells afterwards whether only a part was.
fn write_whole(file: &mut File, mut bytes: &[u8], torn: &mut bool) -> io::Result<()> {
    *torn = false;
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(written) => {
                bytes = &bytes[written..];
                *torn = !bytes.is_empty();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How many bytes of `bytes` are whole characters, where the last one may have been cut: an entry is not ended in the
/// middle of a character. At most three bytes are held back.
fn whole_characters(bytes: &[u8]) -> usize {
    for back in 1..=3.min(bytes.len()) {
        let at = bytes.len() - back;
        let length = match bytes[at] {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > back { at } else { bytes.len() };
    }
    bytes.len()
}

/// Appends a JSON string (RFC 8259, section 7) in quotes.
fn append_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        let text = chunk.valid().as_bytes();
        let mut copied = 0;
        for (at, byte) in text.iter().enumerate() {
            let escape: &[u8] = match byte {
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                b'\n' => b"\\n",
                b'\r' => b"\\r",
                b'\t' => b"\\t",
                0x00..=0x1f => b"",
                _ => continue,
            };
            out.extend_from_slice(&text[copied..at]);
            match escape {
                // Writing to a vector cannot fail.
                b"" => drop(write!(out, "\\u{byte:04x}")),
                escape => out.extend_from_slice(escape),
            }
            copied = at + 1;
        }
        out.extend_from_slice(&text[copied..]);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
