//! What a command is: its row in the table, which the parser follows and the help shows.

use super::{
    call::Call,
    words::{Flag, Order, Words},
};
use sampan_types::Result;
use std::process::ExitCode;

/// One command.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// What it does, in one line.
    pub(super) summary: &'static str,
    /// Its arguments, as the help shows them.
    pub(super) operands: &'static str,
    /// How many it takes.
    pub(super) count: Count,
    /// What else the help says.
    pub(super) about: &'static str,
    pub(super) flags: &'static [Flag],
    pub(super) order: Order,
    pub(super) failure: Failure,
    /// Whether this process, or a child of it, enters a container: then its program must be safe from it.
    pub(super) enters: bool,
    pub(super) run: fn(&Call, &Words) -> Result<ExitCode>,
}

/// How many arguments a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Exactly(usize),
    AtLeast(usize),
    Between(usize, usize),
}

impl Count {
    /// runc's sentence where the number is wrong.
    pub(super) fn refuse(self, program: &str, command: &str, count: usize) -> Option<String> {
        let wrong = match self {
            Self::Exactly(right) if count != right => format!("exactly {right}"),
            Self::AtLeast(least) | Self::Between(least, _) if count < least => {
                format!("a minimum of {least}")
            }
            Self::Between(_, most) if count > most => format!("a maximum of {most}"),
            _ => return None,
        };
        Some(format!("{program}: {command:?} requires {wrong} argument(s)"))
    }
}

/// How the end of a command that has failed is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    /// What stands before the reason.
    pub(super) prefix: &'static str,
    /// The exit code.
    pub(super) code: u8,
}

/// Most commands: the reason alone.
pub(super) const PLAIN: Failure = Failure { prefix: "", code: 1 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_numbers_of_arguments_are_told() {
        let refuse = |count: Count, given| count.refuse("/bin/x", "kill", given);
        assert_eq!(refuse(Count::Exactly(1), 1), None);
        assert_eq!(refuse(Count::AtLeast(1), 9), None);
        assert_eq!(
            refuse(Count::Exactly(1), 2).as_deref(),
            Some("/bin/x: \"kill\" requires exactly 1 argument(s)")
        );
        assert_eq!(
            refuse(Count::Between(1, 2), 0).as_deref(),
            Some("/bin/x: \"kill\" requires a minimum of 1 argument(s)")
        );
        assert_eq!(
            refuse(Count::Between(1, 2), 3).as_deref(),
            Some("/bin/x: \"kill\" requires a maximum of 2 argument(s)")
        );
    }
}
