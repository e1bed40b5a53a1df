//! Layers as they are stored become plain archives again.

use flate2::bufread::MultiGzDecoder;
use sampan_types::{Error, Result};
use std::io::{BufRead, BufReader, Read};

/// First bytes of a gzip stream (RFC 1952) and of a zstd frame (RFC 8878).
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The uncompressed bytes of `blob`: gzip, zstd, or neither. Told apart by their first bytes, since media types of
/// images in the wild are not always right.
///
/// # Errors
/// Where the first bytes cannot be read.
pub(crate) fn decompress<'a>(blob: impl Read + Send + 'a) -> Result<Box<dyn Read + Send + 'a>> {
    let mut blob = BufReader::with_capacity(128 << 10, blob);
    let unreadable = |error| Error::io("cannot read a layer", error);
    let start = blob.fill_buf().map_err(unreadable)?;
    if start.starts_with(&GZIP) {
        return Ok(Box::new(MultiGzDecoder::new(blob)));
    }
    if start.starts_with(&ZSTD) {
        return Ok(Box::new(zstd::Decoder::with_buffer(blob).map_err(unreadable)?));
    }
    Ok(Box::new(blob))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn plain(bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        decompress(bytes).unwrap().read_to_end(&mut plain).unwrap();
        plain
    }

    #[test]
    fn all_forms() {
        let text = b"layer ".repeat(1000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        assert_eq!(plain(&text), text);
        assert_eq!(plain(&gzip), text);
        assert_eq!(plain(&zstd::encode_all(&text[..], 3).unwrap()), text);
        assert_eq!(plain(b""), b"");
        // Members one after the other are one stream (RFC 1952, section 2.2).
        assert_eq!(plain(&[gzip.clone(), gzip].concat()), text.repeat(2));
    }
}
