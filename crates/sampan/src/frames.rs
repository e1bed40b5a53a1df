//! Output in Docker's frames: stream number, three zero bytes, length in four bytes big endian, then the bytes.

use std::io::{self, Write};

const HEADER: usize = 8;

/// Writes the parts of framed output where they belong, however they are cut into reads.
#[derive(Debug, Default)]
pub(crate) struct Demultiplexer {
    header: Vec<u8>,
    left: usize,
}

impl Demultiplexer {
    /// Takes what was read.
    ///
    /// # Errors
    /// What writing gives.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        out: &mut impl Write,
        err: &mut impl Write,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.left == 0 {
                let wanted = (HEADER - self.header.len()).min(bytes.len());
                self.header.extend_from_slice(&bytes[..wanted]);
                bytes = &bytes[wanted..];
                if let [_, _, _, _, a, b, c, d] = self.header[..] {
                    self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                    if self.left == 0 {
                        self.header.clear();
                    }
                }
                continue;
            }
            let (part, rest) = bytes.split_at(self.left.min(bytes.len()));
            if self.header[0] == 2 {
                err.write_all(part)?
            } else {
                out.write_all(part)?
            }
            bytes = rest;
            self.left -= part.len();
            if self.left == 0 {
                self.header.clear();
            }
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_gives_the_same() {
        let mut stream = Vec::new();
        for (number, text) in [(1u8, "out"), (2, "error"), (1, ""), (1, "more")] {
            stream.extend([number, 0, 0, 0]);
            stream.extend((text.len() as u32).to_be_bytes());
            stream.extend(text.as_bytes());
        }
        for cut in 1..stream.len() {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut demultiplexer = Demultiplexer::default();
            for part in stream.chunks(cut) {
                demultiplexer.feed(part, &mut out, &mut err).unwrap();
            }
            assert_eq!((out.as_slice(), err.as_slice()), (&b"outmore"[..], &b"error"[..]), "cut {cut}");
        }
    }
}
