//! Reading a tar archive: headers become [`Member`]s, extended headers are folded into the member they are about.
//!
//! Forms read: POSIX ustar and pax, GNU tar with long names and sparse files, and the headers before those.

use super::{
    field::{self, damaged},
    pax::Pax,
    sparse::Map,
};
use rustix::fs::Timespec;
use std::io::{self, BufRead, BufReader, Read};

const BLOCK: usize = 512;

/// The most bytes of extended headers and long names that are held in memory for one member.
const LONGEST_HEADER: u64 = 1 << 20;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    HardLink,
    SymbolicLink,
    CharacterDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// One file of the archive. Its content, where it has any, is read next with [`Archive::chunk`].
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) mtime: Timespec,
    pub(super) link: Vec<u8>,
    pub(super) device: (u32, u32),
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the stored bytes belong in a file with holes.
    pub(super) sparse: Option<Map>,
}

/// Reads members one after the other.
pub(super) struct Archive<R> {
    reader: BufReader<R>,
    /// Bytes of the present member's content not read yet.
    content: u64,
    /// Zero bytes behind it up to the next block.
    padding: u64,
    /// What global extended headers said, and how many bytes they had.
    global: (Pax, u64),
}

impl<R: Read> Archive<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(256 << 10, reader),
            content: 0,
            padding: 0,
            global: (Pax::default(), 0),
        }
    }

    /// The next member; `None` at the end of the archive.
    pub(super) fn next(&mut self) -> io::Result<Option<Member>> {
        let (mut pax, mut held) = self.global.clone();
        let (mut long_name, mut long_link) = (None, None);
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            let stored = field::size(&header[124..136], "size")?;
            if matches!(header[156], b'x' | b'g' | b'L' | b'K') {
                held = held.saturating_add(stored);
                if held > LONGEST_HEADER {
                    return Err(damaged("the extended headers of one entry are longer than 1 MiB"));
                }
            }
            match header[156] {
                b'x' => pax.extend(&self.text(stored)?)?,
                b'g' => {
                    let records = self.text(stored)?;
                    self.global.0.extend(&records)?;
                    self.global.1 += stored;
                    pax.extend(&records)?;
                }
                b'L' => long_name = Some(field::text(&self.text(stored)?).to_vec()),
                b'K' => long_link = Some(field::text(&self.text(stored)?).to_vec()),
                _ => return self.member(&header, stored, pax, long_name, long_link).map(Some),
            }
        }
    }

    fn member(
        &mut self,
        header: &[u8; BLOCK],
        stored: u64,
        pax: Pax,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> io::Result<Member> {
        let size = pax.size.unwrap_or(stored);
        let name = pax.path.or(long_name).unwrap_or_else(|| name(header));
        let kind = match header[156] {
            // Before ustar a directory was a file whose name ends so.
            b'0' | 0 if name.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::SymbolicLink,
            b'3' => Kind::CharacterDevice,
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => {
                return Err(damaged(format!(
                    "{} is of an unknown type {:?}",
                    show(&name),
                    char::from(other)
                )));
            }
        };
        self.expect(size);
        let number = |range: std::ops::Range<usize>, name| field::size(&header[range], name);
        let is_device = matches!(kind, Kind::CharacterDevice | Kind::BlockDevice);
        let device = |range: std::ops::Range<usize>| -> io::Result<u32> {
            let value = if is_device { number(range, "device")? } else { 0 };
            u32::try_from(value).map_err(|_| damaged("the number of a device is too large"))
        };
        let mut member = Member {
            kind,
            mode: (number(100..108, "mode")? & 0o7777) as u32,
            uid: pax.uid.map_or_else(|| number(108..116, "uid"), Ok)?,
            gid: pax.gid.map_or_else(|| number(116..124, "gid"), Ok)?,
            mtime: match pax.mtime {
                Some(time) => time,
                None => Timespec { tv_sec: field::number(&header[136..148], "mtime")?, tv_nsec: 0 },
            },
            link: pax.link.or(long_link).unwrap_or_else(|| field::text(&header[157..257]).to_vec()),
            device: (device(329..337)?, device(337..345)?),
            xattrs: pax.xattrs,
            sparse: None,
            name,
        };
        if header[156] == b'S' {
            member.sparse = Some(Map::from_gnu_header(header, self)?);
        } else if !pax.sparse.is_empty() && kind == Kind::File {
            let (real_name, map) = Map::from_pax(&pax.sparse, self)?;
            member.name = real_name.unwrap_or(member.name);
            member.sparse = map;
        }
        Ok(member)
    }

    /// The next bytes of the present member's content, at most 256 KiB; empty at its end.
    pub(super) fn chunk(&mut self) -> io::Result<&[u8]> {
        if self.content == 0 {
            return Ok(&[]);
        }
        let bytes = self.reader.fill_buf()?;
        if bytes.is_empty() {
            return Err(cut_off());
        }
        let length = usize::try_from(self.content).unwrap_or(usize::MAX).min(bytes.len());
        Ok(&bytes[..length])
    }

    /// Takes bytes that [`Archive::chunk`] has given.
    pub(super) fn consume(&mut self, length: usize) {
        self.reader.consume(length);
        self.content -= length as u64;
    }

    /// Bytes of the present member's content not read yet.
    pub(super) fn remaining(&self) -> u64 {
        self.content
    }

    /// Reads everything up to the end of the stream.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        io::copy(&mut self.reader, &mut io::sink()).map(|_| ())
    }

    /// Reads one block of the present member's content.
    pub(super) fn content_block(&mut self) -> io::Result<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        self.content = self
            .content
            .checked_sub(BLOCK as u64)
            .ok_or_else(|| damaged("the map of a sparse file is longer than the file"))?;
        self.exact(&mut block)?;
        Ok(block)
    }

    /// Reads a block that is no member's content.
    pub(super) fn extra_block(&mut self) -> io::Result<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        self.exact(&mut block)?;
        Ok(block)
    }

    fn expect(&mut self, size: u64) {
        self.content = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    /// The next header; `None` at the end: a block of zeros, or the end of the stream.
    fn header(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let unread = self.content.saturating_add(self.padding);
        (self.content, self.padding) = (0, 0);
        if io::copy(&mut self.reader.by_ref().take(unread), &mut io::sink())? < unread {
            return Err(cut_off());
        }
        if self.reader.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut header = [0; BLOCK];
        self.exact(&mut header)?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum = header.iter().enumerate().fold(0, |sum, (at, byte)| {
            sum + if (148..156).contains(&at) { i64::from(b' ') } else { i64::from(*byte) }
        });
        if field::number(&header[148..156], "checksum")? != sum {
            return Err(damaged("a header has a wrong checksum: this is no tar archive, or a damaged one"));
        }
        Ok(Some(header))
    }

    /// The content of an extended header, whose size has been checked.
    fn text(&mut self, size: u64) -> io::Result<Vec<u8>> {
        self.expect(size);
        let mut text = vec![0; usize::try_from(size).unwrap_or_default()];
        self.exact(&mut text)?;
        self.content = 0;
        Ok(text)
    }

    fn exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.reader.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => cut_off(),
            _ => error,
        })
    }
}

/// Name of the member by the header alone: with the prefix of ustar, which GNU's older form does not have.
fn name(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = field::text(&header[..100]);
    let prefix = if &header[257..263] == b"ustar\0" { field::text(&header[345..500]) } else { &[] };
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

fn cut_off() -> io::Error {
    damaged("the archive ends in the middle of an entry")
}

/// A name for a message.
pub(super) fn show(name: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(name))
}
