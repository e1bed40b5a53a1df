//! Values and messages of D-Bus as bytes (D-Bus specification, "Type System" and "Message Protocol"): as much of it as
//! asking systemd for units needs.

use std::io;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// `b`
    Bool(bool),
    /// `y`
    Byte(u8),
    /// `n`
    I16(i16),
    /// `q`
    U16(u16),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `d`
    Double(f64),
    /// `s`
    Text(String),
    /// `o`
    Path(String),
    /// `g`
    Signature(String),
    /// `a…`, with the signature of its elements.
    Array(String, Vec<Value>),
    /// `(…)`
    Struct(Vec<Value>),
    /// `v`
    Variant(Box<Value>),
}

impl Value {
    /// A text.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// Its signature.
    pub(crate) fn signature(&self) -> String {
        match self {
            Self::Bool(_) => "b".into(),
            Self::Byte(_) => "y".into(),
            Self::I16(_) => "n".into(),
            Self::U16(_) => "q".into(),
            Self::I32(_) => "i".into(),
            Self::U32(_) => "u".into(),
            Self::I64(_) => "x".into(),
            Self::U64(_) => "t".into(),
            Self::Double(_) => "d".into(),
            Self::Text(_) => "s".into(),
            Self::Path(_) => "o".into(),
            Self::Signature(_) => "g".into(),
            Self::Array(of, _) => format!("a{of}"),
            Self::Struct(parts) => format!("({})", parts.iter().map(Self::signature).collect::<String>()),
            Self::Variant(_) => "v".into(),
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let mut number = |number: &[u8]| {
            align(bytes, number.len());
            bytes.extend_from_slice(number);
        };
        match self {
            Self::Bool(value) => number(&u32::from(*value).to_le_bytes()),
            Self::Byte(value) => number(&[*value]),
            Self::I16(value) => number(&value.to_le_bytes()),
            Self::U16(value) => number(&value.to_le_bytes()),
            Self::I32(value) => number(&value.to_le_bytes()),
            Self::U32(value) => number(&value.to_le_bytes()),
            Self::I64(value) => number(&value.to_le_bytes()),
            Self::U64(value) => number(&value.to_le_bytes()),
            Self::Double(value) => number(&value.to_le_bytes()),
            Self::Text(text) | Self::Path(text) => {
                number(&(text.len() as u32).to_le_bytes());
                bytes.extend_from_slice(text.as_bytes());
                bytes.push(0);
            }
            Self::Signature(text) => {
                bytes.push(text.len() as u8);
                bytes.extend_from_slice(text.as_bytes());
                bytes.push(0);
            }
            Self::Array(of, elements) => {
                number(&[0; 4]);
                let length_at = bytes.len() - 4;
                // Also before an empty one.
                align(bytes, alignment(of));
                let start = bytes.len();
                elements.iter().for_each(|element| element.write(bytes));
                let length = (bytes.len() - start) as u32;
                bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
            }
            Self::Struct(parts) => {
                align(bytes, 8);
                parts.iter().for_each(|part| part.write(bytes));
            }
            Self::Variant(value) => {
                Self::Signature(value.signature()).write(bytes);
                value.write(bytes);
            }
        }
    }
}

fn alignment(signature: &str) -> usize {
    match signature.bytes().next() {
        Some(b'y' | b'g' | b'v') => 1,
        Some(b'n' | b'q') => 2,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 4,
    }
}

fn align(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

// Kinds of messages and of header fields.
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// Length of the part of a header that every message has: up to the length of its fields.
pub(crate) const FIXED: usize = 16;

/// What a method is called on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Method<'a> {
    pub(crate) destination: Option<&'a str>,
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) member: &'a str,
}

/// A call as bytes.
pub(crate) fn call(serial: u32, method: Method<'_>, arguments: &[Value]) -> Vec<u8> {
    let mut body = Vec::new();
    arguments.iter().for_each(|argument| argument.write(&mut body));
    let signature: String = arguments.iter().map(Value::signature).collect();
    let field = |code, value| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]);
    let mut fields = vec![
        field(PATH, Value::Path(method.path.to_owned())),
        field(INTERFACE, Value::text(method.interface)),
        field(MEMBER, Value::text(method.member)),
    ];
    fields.extend(method.destination.map(|name| field(DESTINATION, Value::text(name))));
    if !signature.is_empty() {
        fields.push(field(SIGNATURE, Value::Signature(signature)));
    }
    // Little endian, no flags, version 1.
    let mut bytes = vec![b'l', METHOD_CALL, 0, 1];
    Value::U32(body.len() as u32).write(&mut bytes);
    Value::U32(serial).write(&mut bytes);
    Value::Array("(yv)".into(), fields).write(&mut bytes);
    align(&mut bytes, 8);
    bytes.extend(body);
    bytes
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// The answer to a call.
    Return { serial: u32, body: Body },
    /// The failure of a call.
    Error { serial: u32, name: String, body: Body },
    /// A signal.
    Signal { member: String, body: Body },
    /// Nothing that matters here.
    Other,
}

/// How long a message is, from its first [`FIXED`] bytes.
pub(crate) fn length(fixed: &[u8; FIXED]) -> io::Result<usize> {
    if fixed[0] != b'l' {
        return Err(malformed("another byte order"));
    }
    let number =
        |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]) as usize;
    let (body, fields) = (number(4), number(12));
    // The specification's ceilings.
    if body > 1 << 27 || fields > 1 << 26 {
        return Err(malformed("a message that is too long"));
    }
    Ok((FIXED + fields).next_multiple_of(8) + body)
}

/// A whole message, understood.
pub(crate) fn parse(bytes: &[u8]) -> io::Result<Message> {
    let mut header = Body { bytes: bytes.to_vec(), at: 12 };
    let end = FIXED + header.u32()? as usize;
    let (mut serial, mut member, mut name) = (0, String::new(), String::new());
    while header.at < end {
        header.at = header.at.next_multiple_of(8);
        let code = header.byte()?;
        let signature = header.signature()?;
        match (code, signature.as_str()) {
            (REPLY_SERIAL, "u") => serial = header.u32()?,
            (MEMBER, "s") => member = header.text()?,
            (ERROR_NAME, "s") => name = header.text()?,
            (_, "s" | "o") => drop(header.text()?),
            (_, "g") => drop(header.signature()?),
            (_, "u") => drop(header.u32()?),
            _ => return Err(malformed("a header field of an unknown type")),
        }
    }
    let body = bytes.get(end.next_multiple_of(8)..).ok_or_else(|| malformed("a message without its body"))?;
    let body = Body { bytes: body.to_vec(), at: 0 };
    Ok(match bytes[1] {
        METHOD_RETURN => Message::Return { serial, body },
        ERROR => Message::Error { serial, name, body },
        SIGNAL => Message::Signal { member, body },
        _ => Message::Other,
    })
}

/// The values of a message, to be read one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    at: usize,
}

impl Body {
    fn take(&mut self, count: usize) -> io::Result<&[u8]> {
        let taken = self.bytes.get(self.at..self.at.saturating_add(count));
        self.at += count;
        taken.ok_or_else(|| malformed("a message that ends early"))
    }

    fn byte(&mut self) -> io::Result<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// A `u`.
    pub(crate) fn u32(&mut self) -> io::Result<u32> {
        self.at = self.at.next_multiple_of(4);
        self.take(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// An `s` or an `o`.
    pub(crate) fn text(&mut self) -> io::Result<String> {
        let length = self.u32()? as usize;
        self.string(length)
    }

    /// A `v` that holds an `s`.
    pub(crate) fn variant_text(&mut self) -> io::Result<String> {
        match self.signature()?.as_str() {
            "s" => self.text(),
            _ => Err(malformed("a property that is no text")),
        }
    }

    fn signature(&mut self) -> io::Result<String> {
        let length = self.byte()?.into();
        self.string(length)
    }

    fn string(&mut self, length: usize) -> io::Result<String> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.byte()?;
        Ok(text)
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the bus sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_the_bytes_of_the_specification() {
        let method = Method { destination: None, path: "/a", interface: "i.f", member: "M" };
        let array = Value::Array("t".into(), vec![Value::U64(7)]);
        let bytes = call(9, method, &[Value::text("x"), array]);
        assert_eq!(&bytes[..12], &[b'l', 1, 0, 1, 24, 0, 0, 0, 9, 0, 0, 0]);
        let fixed: &[u8; FIXED] = bytes.first_chunk().unwrap();
        assert_eq!(length(fixed).unwrap(), bytes.len());
        // A text of one letter, the array's length, padding to eight, the number.
        let body = &bytes[bytes.len() - 24..];
        assert_eq!(body[..12], [1, 0, 0, 0, b'x', 0, 0, 0, 8, 0, 0, 0]);
        assert_eq!(body[12..], [0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn signatures_nest() {
        let pair = Value::Struct(vec![Value::text("a"), Value::Variant(Box::new(Value::Bool(true)))]);
        let array = Value::Array(pair.signature(), vec![pair]);
        assert_eq!(array.signature(), "a(sv)");
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = call(
            5,
            Method { destination: Some("d"), path: "/p", interface: "i", member: "JobRemoved" },
            &[Value::U32(3), Value::Path("/job/1".into()), Value::Variant(Box::new(Value::text("v")))],
        );
        bytes[1] = SIGNAL;
        let Message::Signal { member, mut body } = parse(&bytes).unwrap() else { panic!("no signal") };
        assert_eq!(member, "JobRemoved");
        assert_eq!((body.u32().unwrap(), body.text().unwrap()), (3, "/job/1".into()));
        assert_eq!(body.variant_text().unwrap(), "v");
        assert_eq!(body.u32().unwrap_err().to_string(), "the bus sent a message that ends early");
        assert!(parse(&bytes[..20]).is_err());
    }
}
