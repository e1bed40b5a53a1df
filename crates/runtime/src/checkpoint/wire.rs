//! Protocol Buffers as far as CRIU's few messages need them: a message is a row of fields, each a number with its value, which is an
//! integer in groups of seven bits, or bytes after their length.
//!
//! The libraries for it would be larger than all that checkpoints take here.

/// The kinds of values that occur (the lowest three bits of a field's head).
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

/// A message being written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Adds an integer. Negative ones are as long as they can be, as the format has it.
    pub(super) fn number(&mut self, field: u32, value: i64) -> &mut Self {
        self.varint(u64::from(field) << 3 | VARINT);
        self.varint(value as u64);
        self
    }

    /// Adds a truth value; false, which is what is taken where there is none, is left out.
    pub(super) fn flag(&mut self, field: u32, value: bool) -> &mut Self {
        if value { self.number(field, 1) } else { self }
    }

    /// Adds a text, which CRIU takes for bytes.
    pub(super) fn text(&mut self, field: u32, value: impl AsRef<[u8]>) -> &mut Self {
        let value = value.as_ref();
        self.varint(u64::from(field) << 3 | BYTES);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Adds a message.
    pub(super) fn message(&mut self, field: u32, value: &Self) -> &mut Self {
        self.text(field, &value.0)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// The value of a field that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(i64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Number(number) => number,
            Self::Bytes(_) => 0,
        }
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Number(_) => &[],
            Self::Bytes(bytes) => bytes,
        }
    }

    pub(super) fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

/// The fields of a message, in their order; `None` where it is damaged.
pub(super) fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let head = take_varint(&mut bytes)?;
        match head & 7 {
            VARINT => found.push((head >> 3, Value::Number(take_varint(&mut bytes)? as i64))),
            BYTES => {
                let length = usize::try_from(take_varint(&mut bytes)?).ok()?;
                found.push((head >> 3, Value::Bytes(take(&mut bytes, length)?)));
            }
            // None of them matters here.
            FIXED_64 => _ = take(&mut bytes, 8)?,
            FIXED_32 => _ = take(&mut bytes, 4)?,
            _ => return None,
        }
    }
    Some(found)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut inner = Message::default();
        inner.text(1, "key").flag(2, false);
        let mut message = Message::default();
        message.number(1, 300).flag(3, true).number(9, -1).message(23, &inner);
        // 300 is the format's own example: 0x12c in groups of seven bits.
        assert_eq!(message.bytes()[..5], [0x08, 0xac, 0x02, 0x18, 0x01]);
        let read = fields(message.bytes()).unwrap();
        assert_eq!(read[..3], [(1, Value::Number(300)), (3, Value::Number(1)), (9, Value::Number(-1))]);
        assert_eq!(read[3].0, 23);
        assert_eq!(fields(read[3].1.bytes()).unwrap(), [(1, Value::Bytes(b"key"))]);
    }

    #[test]
    fn damage_is_seen() {
        for bytes in [&[0x08][..], &[0x0a, 5, 1], &[0x0f, 1], &[0x08, 0xff, 0xff], &[0xff; 12]] {
            assert_eq!(fields(bytes), None, "{bytes:?}");
        }
        assert_eq!(fields(&[0x0d, 1, 2, 3, 4, 0x10, 7]).unwrap(), [(2, Value::Number(7))], "fixed ones");
    }
}
