//! Why CRIU has failed, from its log.

use super::{
    service::Service,
    words::{Answer, Kind},
};
use sampan_types::{Error, ErrorKind};
use std::path::Path;

/// As many lines as are quoted: the first ones say what was not possible, the later ones what that led to.
const QUOTED: usize = 3;

/// Lines that are in the log whatever happens, or that say only that it has failed.
const EMPTY: [&str; 4] =
    ["Dumping FAILED", "Restoring FAILED", "Unable to create tun", "Can't setup RLIMIT_NOFILE"];

/// The failure that an answer tells. The sentence is runc's.
pub(super) fn of(kind: Kind, answer: &Answer, service: &Service, log: &Path) -> Error {
    let error =
        Error::new(ErrorKind::Internal, format!("criu failed: type {} errno {}", kind.name(), answer.errno));
    let text = std::fs::read(log).unwrap_or_default();
    let mut lines = quoted(&String::from_utf8_lossy(&text));
    // One that says nothing has died.
    let died = answer.kind == 0;
    if (died || lines.is_empty()) && !answer.message.is_empty() {
        lines.push(answer.message.clone());
    }
    let why = lines.join("; ");
    let error = if why.is_empty() { error } else { error.because(why) };
    error.hint(format!("criu {} has written more to {}", service.version(), log.display()))
}

/// What the log has as errors, without its marks of time and source.
fn quoted(log: &str) -> Vec<String> {
    let errors = log.lines().filter_map(|line| {
        let (_, rest) = line.split_once("Error (")?;
        let (_, text) = rest.split_once("): ")?;
        Some(text.trim())
    });
    errors
        .filter(|text| !EMPTY.iter().any(|empty| text.contains(empty)))
        .take(QUOTED)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_errors_are_quoted() {
        let log = "(00.1) Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: no\n\
                   (00.2) net: Lock network\nError (criu/util.c:6): execvp(\"x\") failed: gone\n\
                   (00.3) Error (criu/net.c:3): net: Locking failed\n(00.4) Error (criu/cr-dump.c:2): Dumping FAILED.\n";
        assert_eq!(quoted(log), ["execvp(\"x\") failed: gone", "net: Locking failed"]);
        assert!(quoted("(00.1) Error without a source\n").is_empty());
    }
}
