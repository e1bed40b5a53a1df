//! What is told to callers beside the exit code: one line an entry, on standard error or in a file, as text or JSON.

use super::tell::plain;
use crate::json_log::timestamp;
use serde::Serialize;
use std::{
    fs::File,
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Where and how it is told.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Standard error where absent.
    pub(super) file: Option<File>,
    pub(super) json: bool,
    /// Whether steps are told too.
    pub(super) debug: bool,
}

/// An entry in the order of keys that callers know.
#[derive(Serialize)]
struct Entry<'a> {
    level: &'a str,
    msg: &'a str,
    time: &'a str,
}

impl Log {
    /// The command has failed. With a log file, standard error has the bare sentence too.
    pub(super) fn error(&self, text: &str) {
        self.write("error", text);
        if self.file.is_some() {
            let _ = writeln!(std::io::stderr(), "{}", plain(text));
        }
    }

    /// Something was passed over.
    pub(super) fn warning(&self, text: &str) {
        self.write("warning", text);
    }

    /// A step, where those are wanted.
    pub(super) fn debug(&self, text: impl FnOnce() -> String) {
        if self.debug {
            self.write("debug", &text());
        }
    }

    fn write(&self, level: &str, text: &str) {
        let line = line(self.json, level, text, SystemTime::now());
        // Where a log cannot be written, nobody is left to tell.
        let _ = match &self.file {
            // A shared file is written to as well.
            Some(file) => std::io::Write::write_all(&mut &*file, line.as_bytes()),
            None => std::io::stderr().write_all(line.as_bytes()),
        };
    }
}

/// One entry with its line's end, written at once so that entries of several processes do not mix.
fn line(json: bool, level: &str, text: &str, time: SystemTime) -> String {
    let time = seconds(time);
    if json {
        let entry = Entry { level, msg: text, time: &time };
        // Texts always have a form in JSON.
        return serde_json::to_string(&entry).unwrap_or_default() + "\n";
    }
    // Control characters are written as escapes: what a container put into a path must not reach a terminal.
    format!("time={time:?} level={level} msg={text:?}\n")
}

/// RFC 3339 in UTC, in whole seconds.
fn seconds(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut bytes = Vec::with_capacity(30);
    timestamp::append(&mut bytes, UNIX_EPOCH + Duration::from_secs(since.as_secs()));
    let text = String::from_utf8(bytes).unwrap_or_default();
    text.replace(".000000000Z", "Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_callers_match_them() {
        let time = UNIX_EPOCH + Duration::new(1_772_356_087, 42);
        assert_eq!(
            line(false, "error", "exec: \"x\": \u{1b}[31mno", time),
            "time=\"2026-03-01T09:08:07Z\" level=error msg=\"exec: \\\"x\\\": \\u{1b}[31mno\"\n"
        );
        assert_eq!(
            line(true, "error", "a \"b\"", time),
            "{\"level\":\"error\",\"msg\":\"a \\\"b\\\"\",\"time\":\"2026-03-01T09:08:07Z\"}\n"
        );
    }
}
