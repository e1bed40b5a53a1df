//! The caller's terminal.

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use sampan_types::{Error, ErrorKind, Result};
use std::io::{stdin, stdout};

/// Rows and columns, where there is a terminal.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdout()).or_else(|_| tcgetwinsize(stdin())).ok()?;
    (size.ws_row > 0).then_some((size.ws_row, size.ws_col))
}

/// Whether what is shown goes to a person.
pub(crate) fn is_interactive() -> bool {
    isatty(std::io::stderr())
}

/// Fails where input is to come from a terminal and none is there, as `docker run -it` does.
///
/// # Errors
/// [`ErrorKind::InvalidInput`].
pub(crate) fn require() -> Result<()> {
    if isatty(stdin()) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidInput, "cannot give the program a terminal")
        .because("the input device is not a TTY")
        .hint("leave out -t, or run it from a terminal"))
}

/// Raw mode, until dropped: every key goes to the container, which echoes it.
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Puts the terminal on standard input into raw mode; `None` where there is none.
    pub(crate) fn enter() -> Option<Self> {
        let before = tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Drain, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // The terminal may be gone; nothing is left to restore then.
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.before);
    }
}
