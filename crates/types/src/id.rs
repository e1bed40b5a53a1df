//! Names and ids of containers.

use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A container's identity for its whole life: 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

impl ContainerId {
    /// An id from 32 random bytes. Ids that are all digits at their short length are not avoided: a name never
    /// looks like one, since look-ups try names first.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(hex(&bytes))
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, as lists show it.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl FromStr for ContainerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::new(ErrorKind::InvalidInput, format!("invalid container id {text:?}"))
            .because("an id is 64 lower-case hexadecimal digits"))
    }
}

impl TryFrom<String> for ContainerId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a person calls a container: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, at most 63 bytes so that it is a DNS label too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerName(String);

impl ContainerName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
        let rest = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if first && rest && (2..=63).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::new(ErrorKind::InvalidInput, format!("invalid container name {text:?}"))
            .because("only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, 2 to 63 characters"))
    }
}

impl TryFrom<String> for ContainerName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ContainerName> for String {
    fn from(name: ContainerName) -> Self {
        name.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One variable of an environment as the user typed it: `KEY=VALUE` sets, a bare `KEY` takes the caller's value or,
/// where the caller has none, removes what the image sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVar {
    /// The variable's name, not empty, without `=`.
    pub key: String,
    /// Its value; `None` removes it.
    pub value: Option<String>,
}

impl FromStr for EnvVar {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        if key.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("invalid environment variable {text:?}"),
            )
            .because("the name before = is empty")
            .hint("-e NAME=VALUE"));
        }
        Ok(Self { key: key.to_owned(), value })
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["db", "web-1", "a.b_c", "/slash", "9x"] {
            assert!(good.parse::<ContainerName>().is_ok(), "{good}");
        }
        for bad in ["", "x", "-a", ".a", "a b", "ä1", "a/b", &"x".repeat(64)] {
            let error = bad.parse::<ContainerName>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad}");
        }
    }

    #[test]
    fn ids() {
        let id = ContainerId::from_bytes([0xab; 32]);
        assert_eq!(id.short(), "abababababab");
        assert_eq!(id.as_str().parse::<ContainerId>().unwrap(), id);
        assert!("abc".parse::<ContainerId>().is_err());
    }

    #[test]
    fn env() {
        assert_eq!("A=b=c".parse::<EnvVar>().unwrap(), EnvVar { key: "A".into(), value: Some("b=c".into()) });
        assert_eq!("A".parse::<EnvVar>().unwrap().value, None);
        assert!("=x".parse::<EnvVar>().is_err());
    }
}
