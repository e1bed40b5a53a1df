//! Numbers in tar headers.

use std::io;

/// Damage of the archive, in words.
pub(super) fn damaged(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// A numeric field: octal digits padded with spaces or zero bytes (POSIX.1-2017, pax, "ustar Interchange Format"), or,
/// with the highest bit set, a big-endian two's complement number (GNU tar, "Basic Tar Format").
pub(super) fn number(field: &[u8], name: &str) -> io::Result<i64> {
    let invalid = || damaged(format!("the field {name} of a header is not a number"));
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        let start = if first & 0x40 != 0 { -1i64 } else { 0 };
        let head = start << 6 | i64::from(first & 0x3f);
        return rest
            .iter()
            .try_fold(head, |value, byte| Some(value.checked_mul(256)? | i64::from(*byte)))
            .ok_or_else(invalid);
    }
    let mut value: i64 = 0;
    for byte in field.iter().skip_while(|byte| **byte == b' ') {
        match byte {
            b'0'..=b'7' => {
                value = value.checked_mul(8).ok_or_else(invalid)? | i64::from(byte - b'0');
            }
            b' ' | 0 => break,
            _ => return Err(invalid()),
        }
    }
    Ok(value)
}

/// A numeric field that cannot be negative.
pub(super) fn size(field: &[u8], name: &str) -> io::Result<u64> {
    u64::try_from(number(field, name)?)
        .map_err(|_| damaged(format!("the field {name} of a header is negative")))
}

/// Decimal digits, as pax records have them.
pub(super) fn decimal(text: &[u8], name: &str) -> io::Result<u64> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .filter(|value| *value <= i64::MAX as u64)
        .ok_or_else(|| damaged(format!("the record {name} is not a number")))
}

/// Text up to the first zero byte.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (field, value) in [
            (&b"0000644\0"[..], 0o644),
            (b"   644 \0", 0o644),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\x00", 256),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", -2),
        ] {
            assert_eq!(number(field, "x").unwrap(), value, "{field:?}");
        }
    }

    #[test]
    fn no_numbers() {
        for field in [&b"0000648\0"[..], b"-1\0", b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert!(number(field, "x").is_err(), "{field:?}");
        }
        assert_eq!(
            size(b"\xff\xff\xff\xff", "size").unwrap_err().to_string(),
            "the field size of a header is negative"
        );
        assert!(decimal(b"1e3", "size").is_err());
        assert!(decimal(b"18446744073709551615", "size").is_err());
    }
}
