//! Names of units, and where systemd puts their groups (systemd.unit(5), systemd.slice(5)).

use crate::error::invalid;
use sampan_types::Result;
use serde::{Deserialize, Serialize};

/// A unit that was made for a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unit {
    /// Its name: a scope's, or a slice's.
    pub(super) name: String,
    /// The slice it is in.
    pub(super) slice: String,
    /// Whether it is the user's systemd's.
    pub(super) user: bool,
}

impl Unit {
    /// From a control group path as it is written for systemd, `SLICE:PREFIX:NAME`; without one, a scope named by the id in the usual
    /// slice.
    pub(super) fn parse(path: Option<&str>, id: &str, user: bool) -> Result<Self> {
        let (slice, prefix, name) = match path {
            None => ("", "sampan", id),
            Some(path) => match path.split(':').collect::<Vec<_>>()[..] {
                [slice, prefix, name] => (slice, prefix, name),
                _ => {
                    return Err(invalid(
                        format!("invalid control group path {path:?}"),
                        "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups",
                    ));
                }
            },
        };
        let slice = match slice {
            "" if user => "user.slice",
            "" => "system.slice",
            slice => slice,
        };
        let name = match (name.ends_with(".slice"), prefix) {
            (true, _) => name.to_owned(),
            (false, "") => format!("{name}.scope"),
            (false, prefix) => format!("{prefix}-{name}.scope"),
        };
        // systemd's own rule for names.
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
        if name.len() > 255 || !name.bytes().all(legal) {
            return Err(invalid(
                format!("invalid unit name {name:?}"),
                "systemd takes letters, digits and :-_.\\@",
            ));
        }
        let unit = Self { name, slice: slice.to_owned(), user };
        unit.path()?;
        Ok(unit)
    }

    /// Whether it is a slice, which has no processes that systemd knows of.
    pub(super) fn is_slice(&self) -> bool {
        self.name.ends_with(".slice")
    }

    /// The path of its group, from systemd's own.
    pub(super) fn path(&self) -> Result<String> {
        let slice = expand(&self.slice)?;
        if self.is_slice() { expand(&self.name) } else { Ok(format!("{slice}/{}", self.name)) }
    }
}

/// `a-b.slice` is at `/a.slice/a-b.slice`; `-.slice` is the root.
fn expand(slice: &str) -> Result<String> {
    let bad = || {
        invalid(
            format!("invalid slice name {slice:?}"),
            "it must be as in \"machine.slice\" or \"a-b.slice\"",
        )
    };
    let name = slice.strip_suffix(".slice").ok_or_else(bad)?;
    if name == "-" {
        return Ok(String::new());
    }
    let parts: Vec<_> = name.split('-').collect();
    if name.contains('/') || parts.iter().any(|part| part.is_empty()) {
        return Err(bad());
    }
    Ok((1..=parts.len()).map(|count| format!("/{}.slice", parts[..count].join("-"))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths() {
        let unit = Unit::parse(Some("machine-a.slice:libpod:x"), "id", false).unwrap();
        assert_eq!(unit.name, "libpod-x.scope");
        assert_eq!(unit.path().unwrap(), "/machine.slice/machine-a.slice/libpod-x.scope");
        assert_eq!(Unit::parse(None, "id", false).unwrap().path().unwrap(), "/system.slice/sampan-id.scope");
        assert_eq!(Unit::parse(Some("::x"), "id", true).unwrap().path().unwrap(), "/user.slice/x.scope");
        assert_eq!(Unit::parse(Some("-.slice:p:x"), "id", false).unwrap().path().unwrap(), "/p-x.scope");
        let slice = Unit::parse(Some("a.slice::a-b.slice"), "id", false).unwrap();
        assert_eq!((slice.is_slice(), slice.path().unwrap().as_str()), (true, "/a.slice/a-b.slice"));
    }

    #[test]
    fn nonsense() {
        let error = Unit::parse(Some("/a/b"), "id", false).unwrap_err();
        assert!(error.causes()[0].starts_with("expected cgroupsPath to be of format"), "{error:?}");
        for slice in ["a", "a--b.slice", "-a.slice", "a/b.slice"] {
            let error = Unit::parse(Some(&format!("{slice}:p:n")), "id", false).unwrap_err();
            assert_eq!(error.to_string(), format!("invalid slice name {slice:?}"));
        }
        let error = Unit::parse(Some("a.slice:p:n/../m"), "id", false).unwrap_err();
        assert_eq!(error.to_string(), "invalid unit name \"p-n/../m.scope\"");
    }
}
