//! Image references, normalised as Docker does (distribution/reference grammar).

use crate::{Digest, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

const DEFAULT_HOST: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";

/// Where an image is found: registry host, repository, tag or digest or both.
///
/// `alpine` means `docker.io/library/alpine:latest`; `localhost:5000/x` names a registry by its host, since the first
/// part has a dot, a colon or is `localhost`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageRef {
    /// The registry's host, with its port where one was given.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository within the registry: `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `None` only where a digest was given alone.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest that the content must have.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The name as a person wrote it: without the default host and `library/`, with the tag.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let short = full.strip_prefix("docker.io/").unwrap_or(&full);
        short.strip_prefix("library/").unwrap_or(short).to_owned()
    }

    /// [`ImageRef::familiar`] without tag and digest.
    pub fn familiar_repository(&self) -> &str {
        match self.host.as_str() {
            DEFAULT_HOST => self.repository.strip_prefix("library/").unwrap_or(&self.repository),
            _ => &self.repository,
        }
    }
}

impl FromStr for ImageRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |why: &str| {
            Error::new(ErrorKind::InvalidInput, format!("invalid image reference {text:?}"))
                .because(why.to_owned())
        };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid("a tag is [A-Za-z0-9_][A-Za-z0-9_.-]*, at most 128 characters"));
        }
        let (host, repository) = match name.split_once('/') {
            Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) => {
                (first, rest.to_owned())
            }
            Some(_) => (DEFAULT_HOST, name.to_owned()),
            None => (DEFAULT_HOST, format!("library/{name}")),
        };
        if !is_host(host) {
            return Err(invalid("the registry's host is malformed"));
        }
        if repository.len() > 255 || !repository.split('/').all(is_path_component) {
            return Err(invalid("a repository is lower-case letters and digits, parted by . _ __ - or /"));
        }
        let host = if host == "index.docker.io" { DEFAULT_HOST } else { host };
        let tag = match (tag, &digest) {
            (None, None) => Some(DEFAULT_TAG),
            (tag, _) => tag,
        };
        Ok(Self { host: host.to_owned(), repository, tag: tag.map(str::to_owned), digest })
    }
}

fn is_tag(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 128
        && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn is_host(text: &str) -> bool {
    let name = match text.rsplit_once(':') {
        Some((name, port)) if !text.ends_with(']') => {
            if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
                return false;
            }
            name
        }
        _ => text,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        }),
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let word = bytes[at..].iter().take_while(|b| alphanumeric(**b)).count();
        if word == 0 {
            return false;
        }
        at += word;
        let separator = bytes[at..].iter().take_while(|b| !alphanumeric(**b)).count();
        match &bytes[at..at + separator] {
            [] => return true,
            [b'.'] | [b'_'] | [b'_', b'_'] => at += separator,
            dashes if dashes.iter().all(|b| *b == b'-') => at += separator,
            _ => return false,
        }
    }
}

impl TryFrom<String> for ImageRef {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.to_string()
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn normalised_as_docker_does() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (typed, full) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("me/app:1", "docker.io/me/app:1"),
            ("localhost/x", "localhost/x:latest"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("quay.example/a/b/c:v1.2", "quay.example/a/b/c:v1.2"),
            ("[::1]:5000/x", "[::1]:5000/x:latest"),
            ("index.docker.io/library/x", "docker.io/library/x:latest"),
            (&format!("alpine@{digest}"), &format!("docker.io/library/alpine@{digest}")),
            (&format!("alpine:3@{digest}"), &format!("docker.io/library/alpine:3@{digest}")),
        ] {
            assert_eq!(typed.parse::<ImageRef>().unwrap().to_string(), full);
        }
    }

    #[test]
    fn familiar_names_are_short() {
        assert_eq!("docker.io/library/alpine".parse::<ImageRef>().unwrap().familiar(), "alpine:latest");
        assert_eq!("a.example/b".parse::<ImageRef>().unwrap().familiar(), "a.example/b:latest");
    }

    #[test]
    fn bad_references_are_refused() {
        for bad in ["", "Alpine", "a:b:c", "a/", "/a", "a..b", "a--", "a@sha256:1", "-h.example/x", "a:-t"] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_round_trips(text in "\\PC{0,80}") {
            if let Ok(image) = text.parse::<ImageRef>() {
                prop_assert_eq!(image.to_string().parse::<ImageRef>().unwrap(), image);
            }
        }
    }
}
