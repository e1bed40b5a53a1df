//! What a program said and how it ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Output};

/// The end of one command.
#[derive(Debug, Clone)]
pub struct Said {
    command: String,
    /// The exit code; 128 + n after signal n.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    fn new(command: String, output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self::from_parts(command, output.status, text(&output.stdout), text(&output.stderr))
    }

    /// What a command said that ran elsewhere: its words, how it ended, standard output and standard error.
    pub fn from_parts(command: String, status: ExitStatus, out: String, err: String) -> Self {
        let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        Self { command, code, out, err }
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let output =
            command.output().unwrap_or_else(|error| panic!("cannot run `{}`: {error}", words.join(" ")));
        Self::new(words.join(" "), &output)
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "{self}");
        self
    }

    /// Asserts success and gives standard output without the white space around it.
    #[track_caller]
    pub fn ok(self) -> String {
        self.code(0).out.trim().to_owned()
    }

    /// Asserts that standard error has this text.
    #[track_caller]
    pub fn complains(self, text: &str) -> Self {
        assert!(self.err.contains(text), "standard error lacks {text:?}\n{self}");
        self
    }

    /// Asserts failure with any exit code: only `run` and its kin have codes of a meaning of their own.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert_ne!(self.code, 0, "{self}");
        self
    }

    /// Asserts the three lines of an error, each by a text that stands in it; an empty text asks for no line, since what
    /// failed may be all there is to say.
    #[track_caller]
    pub fn error(self, what: &str, cause: &str, remedy: &str) -> Self {
        for (name, expected) in [("error", what), ("cause", cause), ("try", remedy)] {
            let found = self.err.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            let fits = expected.is_empty() || found.is_some_and(|line| line.contains(expected));
            assert!(fits, "the line {name:?} lacks {expected:?}\n{self}");
        }
        self
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` ended with {}\n--- output\n{}\n--- error\n{}",
            self.command, self.code, self.out, self.err
        )
    }
}
