//! An error as one sentence, in the words that callers of runtimes match.

use sampan_types::{Error, ErrorKind};

/// What failed, why, and what to do about it.
pub(super) fn sentence(error: &Error) -> String {
    let mut text = lower(&error.to_string());
    for cause in error.causes() {
        text += ": ";
        text += &lower(&cause);
    }
    match (error.kind(), error.remedy()) {
        // That a program is missing needs no advice, and callers compare the whole.
        (ErrorKind::CommandNotFound | ErrorKind::NotExecutable, _) => text,
        (_, Some(hint)) => format!("{text} ({hint})"),
        (_, None) => text,
    }
}

/// The one line that says that a program, found before, could not be run: its interpreter is missing, its format unknown. `None` for
/// other errors.
pub(super) fn not_run(error: &Error) -> Option<String> {
    // One that is not found is an `exec: "name"`.
    error.to_string().starts_with("exec ").then(|| sentence(error))
}

/// The kernel's reasons as the C library's callers know them (`no such file or directory`), without Rust's addition.
fn lower(text: &str) -> String {
    let Some(start) = text.find(" (os error ") else { return text.to_owned() };
    let Some(end) = text[start..].find(')') else { return text.to_owned() };
    let (before, after) = (&text[..start], &text[start + end + 1..]);
    // The reason is what stands after the last colon.
    let at = before.rfind(": ").map_or(0, |at| at + 2);
    let mut reason = before[at..].chars();
    let first = reason.next().map(|first| first.to_ascii_lowercase()).into_iter();
    format!("{}{}{}{}", &before[..at], first.collect::<String>(), reason.as_str(), lower(after))
}

/// A sentence for a terminal: without anything that would steer it.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_lower_case_and_hints_follow() {
        let io = || std::io::Error::from_raw_os_error(2);
        let error = Error::io("open /x", io());
        assert_eq!(sentence(&error), "open /x: no such file or directory");
        let error =
            Error::new(ErrorKind::Internal, "cannot do").because(format!("open /x: {}", io())).hint("try y");
        assert_eq!(sentence(&error), "cannot do: open /x: no such file or directory (try y)");
        let error = Error::new(ErrorKind::CommandNotFound, "exec: \"x\"").because("gone").hint("look");
        assert_eq!(sentence(&error), "exec: \"x\": gone");
        assert_eq!(not_run(&error), None);
        let error = Error::new(ErrorKind::CommandNotFound, "exec /x").because("gone");
        assert_eq!(not_run(&error).as_deref(), Some("exec /x: gone"));
    }

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\n");
    }
}
