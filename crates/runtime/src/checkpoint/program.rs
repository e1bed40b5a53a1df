//! CRIU's program: where it is, and whether it will do.

use super::words::Version;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// The oldest that has all that is asked of it here.
const OLDEST: Version = (3, 17, 0);

/// Where programs of the system's administrator lie, which are not in everybody's `PATH`.
const FURTHER: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The program of this name, or at this path.
///
/// # Errors
/// `NotFound`, with the places that were looked at.
pub(super) fn find(given: Option<&Path>) -> Result<PathBuf> {
    let name = given.unwrap_or(Path::new("criu"));
    let found = if name.components().count() > 1 {
        Some(name.to_owned()).filter(|path| is_program(path))
    } else {
        in_path(name)
    };
    found.ok_or_else(|| {
        let why =
            if name.components().count() > 1 { "there is no such program" } else { "it is not in PATH" };
        Error::new(ErrorKind::NotFound, format!("cannot run {}", name.display()))
            .because(why)
            .hint("install the package criu, or name its program with --criu PATH or in SAMPAN_CRIU")
    })
}

/// A program in `PATH` or where the system's own lie.
pub(super) fn in_path(name: impl AsRef<Path>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    let further = FURTHER.iter().map(PathBuf::from);
    own.chain(further).map(|folder| folder.join(name.as_ref())).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    accessat(CWD, path, Access::EXEC_OK, AtFlags::empty()).is_ok() && !path.is_dir()
}

/// Refuses one that is too old.
pub(super) fn check(program: &Path, version: Version) -> Result<()> {
    if version >= OLDEST {
        return Ok(());
    }
    let (major, minor, _) = OLDEST;
    Err(Error::new(ErrorKind::Unsupported, format!("cannot use {}", program.display()))
        .because(format!("criu {} is too old", shown(version)))
        .hint(format!("install criu {major}.{minor} or newer")))
}

/// A version as it is written.
pub(super) fn shown((major, minor, third): Version) -> String {
    if third == 0 { format!("{major}.{minor}") } else { format!("{major}.{minor}.{third}") }
}

/// Whether packets can be held back with iptables, which CRIU uses unless told otherwise.
pub(super) fn has_iptables() -> bool {
    in_path(OsStr::new("iptables-restore")).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let error = find(Some(Path::new("/nowhere/criu"))).unwrap_err();
        assert_eq!(error.to_string(), "cannot run /nowhere/criu");
        assert_eq!(error.causes(), ["there is no such program"]);
        assert!(error.remedy().is_some_and(|hint| hint.contains("--criu PATH")));
        assert!(find(Some(Path::new("no-such-criu"))).is_err());
        assert!(find(Some(Path::new("sh"))).unwrap().is_absolute());
        assert!(find(Some(Path::new("/"))).is_err(), "a directory");
    }

    #[test]
    fn older_ones_are_refused() {
        let program = Path::new("/usr/sbin/criu");
        check(program, (3, 17, 0)).unwrap();
        check(program, (4, 1, 1)).unwrap();
        let error = check(program, (3, 16, 1)).unwrap_err();
        assert_eq!(error.causes(), ["criu 3.16.1 is too old"]);
        assert_eq!(error.remedy(), Some("install criu 3.17 or newer"));
    }
}
