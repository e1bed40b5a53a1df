//! Content digests (OCI image-spec 1.1, descriptor.md, "Digests").

use crate::{Error, ErrorKind, Result, id::hex};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// `sha256:` or `sha512:` and the lower-case hexadecimal digits of the hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// The digest for a finished SHA-256.
    pub fn sha256(hash: [u8; 32]) -> Self {
        Self(format!("sha256:{}", hex(&hash)))
    }

    /// `sha256:…` in full.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `sha256` or `sha512`.
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// The digits alone, as file names use them.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, digits)| digits)
    }

    /// The first 12 digits, as lists show it.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let length = match text.split_once(':') {
            Some(("sha256", digits)) if digits.bytes().all(is_hex) => (digits.len(), 64),
            Some(("sha512", digits)) if digits.bytes().all(is_hex) => (digits.len(), 128),
            _ => (0, 1),
        };
        if length.0 == length.1 {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::new(ErrorKind::InvalidInput, format!("invalid digest {text:?}"))
            .because("a digest is sha256: and 64, or sha512: and 128 lower-case hexadecimal digits"))
    }
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_only_whole_digests() {
        let digest = Digest::sha256([1; 32]);
        assert_eq!(digest.as_str().parse::<Digest>().unwrap(), digest);
        assert_eq!((digest.algorithm(), digest.short()), ("sha256", "010101010101"));
        for bad in ["", "sha256:", "sha256:AB", "md5:00", "sha256:../../etc/passwd"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
