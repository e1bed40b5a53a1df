//! Descriptors that a caller hands on to the container's program: those of socket activation (`sd_listen_fds(3)`), then
//! `--preserve-fds`.

use super::words::Words;
use sampan_types::{Error, ErrorKind, Result};

/// The first descriptor after the standard streams.
const FIRST: i32 = 3;

/// How many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Passed {
    listen: u32,
    /// All of them.
    pub(super) count: u32,
}

impl Passed {
    /// What the caller has given.
    ///
    /// # Errors
    /// Where one of them is not open.
    pub(super) fn read(words: &Words) -> Result<Self> {
        let variable = |name| std::env::var(name).ok();
        let listen = listened(variable("LISTEN_PID"), variable("LISTEN_FDS"), std::process::id());
        let preserve = words.integer("preserve-fds").unwrap_or(0);
        let preserve = u32::try_from(preserve).map_err(|_| {
            Error::new(ErrorKind::InvalidInput, format!("invalid value {preserve} for --preserve-fds"))
        })?;
        let count = listen.saturating_add(preserve);
        let mut numbers = FIRST..FIRST.saturating_add(i32::try_from(count).unwrap_or(i32::MAX));
        match numbers.find(|number| !sampan_sys::exec::is_inherited(*number)) {
            None => Ok(Self { listen, count }),
            Some(number) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!("file descriptor {number} of the {count} to be passed on is not open"),
            )),
        }
    }

    /// What the program finds them by.
    pub(super) fn environment(self) -> Vec<String> {
        if self.listen == 0 {
            return Vec::new();
        }
        let names = std::env::var("LISTEN_FDNAMES").ok().map(|names| format!("LISTEN_FDNAMES={names}"));
        // The program becomes the first process of its namespace.
        [format!("LISTEN_FDS={}", self.listen), "LISTEN_PID=1".to_owned()].into_iter().chain(names).collect()
    }
}

/// The variables count only for the process that they were set for.
fn listened(pid: Option<String>, fds: Option<String>, own: u32) -> u32 {
    match (pid, fds) {
        (Some(pid), Some(fds)) if pid == own.to_string() => fds.parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_another_process_do_not_count() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(listened(text("7"), text("2"), 7), 2);
        assert_eq!(listened(text("8"), text("2"), 7), 0);
        assert_eq!(listened(None, text("2"), 7), 0);
        assert_eq!(listened(text("7"), text("x"), 7), 0);
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_named() {
        let flag = super::super::words::Flag::new(super::super::words::Kind::Integer, "preserve-fds", "");
        let words = |value: &str| {
            let words = ["--preserve-fds".to_owned(), value.to_owned()];
            Words::parse(&[flag], super::super::words::Order::Anywhere, &words).unwrap()
        };
        assert_eq!(Passed::read(&words("0")).unwrap(), Passed::default());
        let error = Passed::read(&words("500")).unwrap_err().to_string();
        assert!(error.ends_with("of the 500 to be passed on is not open"), "{error}");
        assert_eq!(
            Passed::read(&words("-1")).unwrap_err().to_string(),
            "invalid value -1 for --preserve-fds"
        );
    }
}
