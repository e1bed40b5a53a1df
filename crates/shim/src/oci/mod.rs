//! The command line of an OCI runtime, as runc has it: `sampan-shim oci …`, or this program under the name `sampan-runc`.
//!
//! A command is a file in `verbs` with its row of the table: options, help and what it does. `words` reads the options, `global` what
//! stands before the command; `place` is a container's state on disk, with the lock that keeps commands apart.

mod attend;
mod call;
mod command;
mod criu;
mod duration;
mod global;
mod help;
mod kept;
mod launch;
mod log;
mod notify;
mod outlet;
mod passed;
mod place;
mod remove;
mod sealed;
mod tell;
mod terminal;
mod verbs;
mod words;

use std::{ffi::OsString, path::Path, process::ExitCode};

/// The words after the program's name, where it was called as an OCI runtime.
pub(crate) fn words(arguments: &[OsString]) -> Option<&[OsString]> {
    let (program, rest) = arguments.split_first()?;
    if Path::new(program).file_name().is_some_and(|name| name == global::NAME) {
        return Some(rest);
    }
    match rest.split_first() {
        Some((verb, rest)) if verb == "oci" => Some(rest),
        _ => None,
    }
}

/// Does what the words say.
pub(crate) fn main(program: &OsString, words: &[OsString]) -> ExitCode {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    global::run(&program.to_string_lossy(), &words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_or_the_first_word_decides() {
        let line = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(words(&line(&["/usr/bin/sampan-runc", "oci", "x"])), Some(&line(&["oci", "x"])[..]));
        assert_eq!(words(&line(&["sampan-shim", "oci", "list"])), Some(&line(&["list"])[..]));
        assert_eq!(words(&line(&["sampan-shim", "task", "oci"])), None);
        assert_eq!(words(&line(&["sampan-shim"])), None);
    }
}
