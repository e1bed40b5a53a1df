//! `org.systemd.property.NAME` annotations: properties of the container's unit, their values in the text form of GVariant
//! (docs.gtk.org/glib/gvariant-text-format.html), as far as properties of units are made of it.

use super::{properties::Property, wire::Value};
use crate::error::invalid;
use sampan_types::Result;
use std::collections::BTreeMap;

const PREFIX: &str = "org.systemd.property.";

/// The properties that annotations ask for.
pub(super) fn properties(annotations: &BTreeMap<String, String>) -> Result<Vec<Property>> {
    let mut all = Vec::new();
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix(PREFIX) else { continue };
        let legal = name.len() >= 3 && name.starts_with(|first: char| first.is_ascii_uppercase());
        if !legal || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(invalid(
                format!("invalid annotation {key}"),
                "it names no property of a systemd unit",
            ));
        }
        let value = parse(text).ok_or_else(|| {
            invalid(
                format!("invalid annotation {key}={text}"),
                "the value is no GVariant text of a basic type, an array or a tuple",
            )
        })?;
        all.push(match name.strip_suffix("Sec").filter(|stem| !stem.ends_with('U')) {
            // As unit files have it; the bus counts microseconds.
            Some(stem) => match seconds(&value) {
                Some(microseconds) => (format!("{stem}USec"), Value::U64(microseconds)),
                None => {
                    return Err(invalid(
                        format!("invalid annotation {key}={text}"),
                        "it must be a number of seconds",
                    ));
                }
            },
            None => (name.to_owned(), value),
        });
    }
    Ok(all)
}

fn seconds(value: &Value) -> Option<u64> {
    let number = match value {
        Value::I32(value) => i128::from(*value),
        Value::I64(value) => i128::from(*value),
        Value::U32(value) => i128::from(*value),
        Value::U64(value) => i128::from(*value),
        Value::Double(value) if *value >= 0.0 => return Some((value * 1_000_000.0) as u64),
        _ => return None,
    };
    u64::try_from(number.checked_mul(1_000_000)?).ok()
}

fn parse(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text.trim() };
    let value = reader.value(None)?;
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn eat(&mut self, mark: char) -> bool {
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> &str {
        let end = self.rest.find(|mark: char| !mark.is_ascii_alphanumeric() && !"+-._".contains(mark));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.trim_start();
        word
    }

    /// One value, of the type whose signature is `wanted` where that is known.
    fn value(&mut self, wanted: Option<&str>) -> Option<Value> {
        if self.eat('@') {
            let end = self.rest.find(' ')?;
            let (signature, rest) = self.rest.split_at(end);
            self.rest = rest.trim_start();
            return self.value(Some(signature));
        }
        if self.eat('[') {
            return self.array(wanted.and_then(|wanted| wanted.strip_prefix('a')));
        }
        if self.eat('(') {
            let mut parts = Vec::new();
            while !self.eat(')') {
                parts.push(self.value(None)?);
                if !self.eat(',') && !self.rest.starts_with(')') {
                    return None;
                }
            }
            return Some(Value::Struct(parts));
        }
        if self.rest.starts_with(['\'', '"']) {
            let text = self.text()?;
            return match wanted {
                None | Some("s") => Some(Value::Text(text)),
                Some("o") => Some(Value::Path(text)),
                Some("g") => Some(Value::Signature(text)),
                _ => None,
            };
        }
        let word = self.word().to_owned();
        match keyword(&word) {
            Some(signature) => self.value(Some(signature)),
            None => number(&word, wanted),
        }
    }

    fn array(&mut self, wanted: Option<&str>) -> Option<Value> {
        let (mut elements, mut of) = (Vec::new(), wanted.map(str::to_owned));
        while !self.eat(']') {
            let element = self.value(of.as_deref().filter(|of| of.len() == 1))?;
            match &of {
                None => of = Some(element.signature()),
                Some(of) if *of == element.signature() => {}
                Some(_) => return None,
            }
            elements.push(element);
            if !self.eat(',') && !self.rest.starts_with(']') {
                return None;
            }
        }
        // An empty one must be told what it is of.
        Some(Value::Array(of?, elements))
    }

    fn text(&mut self) -> Option<String> {
        let mut marks = self.rest.char_indices();
        let (_, quote) = marks.next()?;
        let mut text = String::new();
        while let Some((at, mark)) = marks.next() {
            match mark {
                '\\' => text.push(match marks.next()?.1 {
                    'n' => '\n',
                    't' => '\t',
                    mark => mark,
                }),
                mark if mark == quote => {
                    self.rest = self.rest[at + 1..].trim_start();
                    return Some(text);
                }
                mark => text.push(mark),
            }
        }
        None
    }
}

fn keyword(word: &str) -> Option<&'static str> {
    Some(match word {
        "boolean" => "b",
        "byte" => "y",
        "int16" => "n",
        "uint16" => "q",
        "int32" => "i",
        "uint32" => "u",
        "int64" => "x",
        "uint64" => "t",
        "double" => "d",
        "string" => "s",
        "objectpath" => "o",
        "signature" => "g",
        _ => return None,
    })
}

fn number(word: &str, wanted: Option<&str>) -> Option<Value> {
    if let ("true" | "false", None | Some("b")) = (word, wanted) {
        return Some(Value::Bool(word == "true"));
    }
    let (digits, radix) = match word.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (word, 10),
    };
    Some(match wanted {
        None if word.contains('.') => Value::Double(word.parse().ok()?),
        None | Some("i") => Value::I32(i32::from_str_radix(digits, radix).ok()?),
        Some("y") => Value::Byte(u8::from_str_radix(digits, radix).ok()?),
        Some("n") => Value::I16(i16::from_str_radix(digits, radix).ok()?),
        Some("q") => Value::U16(u16::from_str_radix(digits, radix).ok()?),
        Some("u") => Value::U32(u32::from_str_radix(digits, radix).ok()?),
        Some("x") => Value::I64(i64::from_str_radix(digits, radix).ok()?),
        Some("t") => Value::U64(u64::from_str_radix(digits, radix).ok()?),
        Some("d") => Value::Double(word.parse().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_values() {
        let parse = |text| parse(text).unwrap();
        assert_eq!(parse("'inactive-or-failed'"), Value::text("inactive-or-failed"));
        assert_eq!(parse("uint64 123456789"), Value::U64(123_456_789));
        assert_eq!(parse("true"), Value::Bool(true));
        assert_eq!(parse("-5"), Value::I32(-5));
        assert_eq!(parse("@x 0x10"), Value::I64(16));
        assert_eq!(parse("@as []"), Value::Array("s".into(), Vec::new()));
        assert_eq!(parse("['a', \"b\"]").signature(), "as");
        assert_eq!(parse("[('char-pts', 'rw')]").signature(), "a(ss)");
        assert_eq!(parse("@ay [1, 2]"), Value::Array("y".into(), vec![Value::Byte(1), Value::Byte(2)]));
        for bad in ["", "'open", "[]", "[1, 'a']", "uint64 -1", "1 2", "word"] {
            assert_eq!(super::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn annotations_become_properties() {
        let annotations = [
            ("org.systemd.property.TimeoutStopSec", "5"),
            ("org.systemd.property.CollectMode", "'inactive-or-failed'"),
            ("org.example", "x"),
        ];
        let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let all = properties(&annotations).unwrap();
        let expected =
            [("CollectMode", Value::text("inactive-or-failed")), ("TimeoutStopUSec", Value::U64(5_000_000))];
        assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), value)));
        let text = |key: &str, value: &str| {
            properties(&[(format!("{PREFIX}{key}"), value.to_owned())].into()).unwrap_err().to_string()
        };
        assert_eq!(text("x", "1"), "invalid annotation org.systemd.property.x");
        assert_eq!(text("RestartSec", "'a'"), "invalid annotation org.systemd.property.RestartSec='a'");
    }
}
