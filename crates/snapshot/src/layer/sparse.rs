//! Files with holes: GNU's old form, and its pax forms 0.0, 0.1 and 1.0 (GNU tar manual, "Storing Sparse Files").

use super::{
    archive::Archive,
    field::{self, damaged, decimal},
};
use std::io::{self, Read};

/// The most pieces of data that one file may have: a map is held in memory.
const MOST_PIECES: usize = 1 << 20;

/// Where the stored bytes belong.
#[derive(Debug)]
pub(super) struct Map {
    /// Length of the file with its holes.
    pub(super) size: u64,
    /// Offset and length of each piece of data, ascending, not overlapping.
    pub(super) pieces: Vec<(u64, u64)>,
}

impl Map {
    /// Four pieces stand in the header, the rest in blocks of 21 behind it.
    pub(super) fn from_gnu_header<R: Read>(header: &[u8; 512], archive: &mut Archive<R>) -> io::Result<Self> {
        let mut pieces = Vec::new();
        read_pieces(&header[386..482], &mut pieces)?;
        let mut more = header[482] != 0;
        while more {
            let block = archive.extra_block()?;
            read_pieces(&block[..504], &mut pieces)?;
            more = block[504] != 0;
        }
        Self::checked(field::size(&header[483..495], "size")?, pieces, archive.remaining())
    }

    /// The member's own name, where the records have it, and the map; no map where the records are of something else.
    pub(super) fn from_pax<R: Read>(
        records: &[(Vec<u8>, Vec<u8>)],
        archive: &mut Archive<R>,
    ) -> io::Result<(Option<Vec<u8>>, Option<Self>)> {
        let last = |key: &[u8]| {
            records.iter().rev().find(|(other, _)| other == key).map(|(_, value)| value.as_slice())
        };
        let name = last(b"name").map(<[u8]>::to_vec);
        let size = last(b"realsize").or_else(|| last(b"size"));
        let Some(size) = size.map(|size| decimal(size, "GNU.sparse.size")).transpose()? else {
            return Ok((name, None));
        };
        let numbers = if last(b"major") == Some(b"1") {
            numbers_of_content(archive)?
        } else if let Some(map) = last(b"map") {
            map.split(|byte| *byte == b',')
                .filter(|text| !text.is_empty())
                .map(number)
                .collect::<io::Result<_>>()?
        } else {
            let of_pieces = |key: &[u8]| key == b"offset" || key == b"numbytes";
            records
                .iter()
                .filter(|(key, _)| of_pieces(key))
                .map(|(_, value)| number(value))
                .collect::<io::Result<_>>()?
        };
        if numbers.len() % 2 != 0 {
            return Err(damaged("the map of a sparse file is incomplete"));
        }
        let pieces = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        Ok((name, Some(Self::checked(size, pieces, archive.remaining())?)))
    }

    fn checked(size: u64, pieces: Vec<(u64, u64)>, stored: u64) -> io::Result<Self> {
        let mut end = 0u64;
        let mut sum = 0u64;
        for (offset, length) in &pieces {
            let next = offset.checked_add(*length).filter(|next| *offset >= end && *next <= size);
            end =
                next.ok_or_else(|| damaged("the map of a sparse file leaves the file or overlaps itself"))?;
            sum += length;
        }
        if sum != stored {
            return Err(damaged("the map of a sparse file does not fit what is stored of it"));
        }
        Ok(Self { size, pieces })
    }
}

/// Form 1.0: at the beginning of the content, lines of decimal numbers, the count of pieces first, padded to a block.
fn numbers_of_content<R: Read>(archive: &mut Archive<R>) -> io::Result<Vec<u64>> {
    let mut text = Vec::new();
    let mut wanted = None;
    let mut lines = 0;
    while wanted.is_none_or(|wanted| lines < wanted) {
        let block = archive.content_block()?;
        lines += block.iter().filter(|byte| **byte == b'\n').count();
        text.extend_from_slice(&block);
        if wanted.is_none() && lines > 0 {
            let count = number(text.split(|byte| *byte == b'\n').next().unwrap_or_default())?;
            let count =
                usize::try_from(count).ok().filter(|count| *count <= MOST_PIECES).ok_or_else(too_many)?;
            wanted = Some(count * 2 + 1);
        }
        // No number has more than 20 digits.
        if text.len() > wanted.map_or(0, |wanted| wanted * 21 + 512) {
            return Err(damaged("the map of a sparse file is malformed"));
        }
    }
    let wanted = wanted.unwrap_or_default();
    text.split(|byte| *byte == b'\n').take(wanted).skip(1).map(number).collect()
}

fn read_pieces(table: &[u8], pieces: &mut Vec<(u64, u64)>) -> io::Result<()> {
    for entry in table.chunks_exact(24) {
        if entry[0] == 0 {
            break;
        }
        if pieces.len() >= MOST_PIECES {
            return Err(too_many());
        }
        pieces.push((field::size(&entry[..12], "offset")?, field::size(&entry[12..], "numbytes")?));
    }
    Ok(())
}

fn number(text: &[u8]) -> io::Result<u64> {
    decimal(text, "GNU.sparse.map")
}

fn too_many() -> io::Error {
    damaged("a sparse file has more than a million pieces")
}
