//! A compiled filter written down, so that an exec of a later process need not compile it again: one string of hexadecimal
//! digits, eight bytes an instruction.

use super::Filter;
use sampan_sys::seccomp::Instruction;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error, ser::SerializeStruct};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[derive(Deserialize)]
struct Stored<'a> {
    flags: u32,
    #[serde(borrow)]
    program: std::borrow::Cow<'a, str>,
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(self.program.len() * 16);
        for Instruction { code, jump_true, jump_false, value } in &self.program {
            let word = u64::from(*code) << 48
                | u64::from(*jump_true) << 40
                | u64::from(*jump_false) << 32
                | u64::from(*value);
            let digit = |at: u32| char::from(DIGITS[(word >> (60 - 4 * at)) as usize & 15]);
            text.extend((0..16).map(digit));
        }
        let mut stored = serializer.serialize_struct("Filter", 2)?;
        stored.serialize_field("flags", &self.flags)?;
        stored.serialize_field("program", &text)?;
        stored.end()
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let words = stored.program.as_bytes().chunks(16).map(|digits| match digits.len() {
            16 => std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok()),
            _ => None,
        });
        let instruction = |word: u64| Instruction {
            code: (word >> 48) as u16,
            jump_true: (word >> 40) as u8,
            jump_false: (word >> 32) as u8,
            value: word as u32,
        };
        let program = words.map(|word| word.map(instruction)).collect::<Option<Vec<_>>>();
        let program = program.ok_or_else(|| D::Error::custom("a filter's program is not understood"))?;
        Ok(Self { program, flags: stored.flags })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let instruction = Instruction { code: 0x15, jump_true: 1, jump_false: 255, value: 0xc000_003e };
        let filter = Filter { program: vec![instruction, instruction], flags: 4 };
        let text = serde_json::to_string(&filter).unwrap();
        assert_eq!(text, r#"{"flags":4,"program":"001501ffc000003e001501ffc000003e"}"#);
        assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter);
        for bad in ["0015", "zz1501ffc000003e", "001501ffc000003e00"] {
            let text = format!(r#"{{"flags":4,"program":"{bad}"}}"#);
            assert!(serde_json::from_str::<Filter>(&text).is_err(), "{bad}");
        }
    }
}
