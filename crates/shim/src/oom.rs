//! The shim is the last process of its container that the kernel should kill for want of memory.

use std::{fs, io};

const FILE: &str = "/proc/self/oom_score_adj";
/// One above "never", as other engines' shims have it.
const PROTECTED: &str = "-999";

/// The shim's protection. Children inherit the score, so it is lifted while one is made.
#[derive(Debug)]
pub(crate) struct OomProtection {
    /// The score this process was started with, where it could be lowered.
    before: Option<String>,
}

impl OomProtection {
    /// Lowers the score; without `CAP_SYS_RESOURCE` it stays as it is.
    pub(crate) fn take() -> Self {
        let before = fs::read_to_string(FILE).ok().filter(|_| set(PROTECTED).is_ok());
        Self { before }
    }

    /// Runs `make`, whose children get the score that this process was started with.
    pub(crate) fn lifted<T>(&self, make: impl FnOnce() -> T) -> T {
        let Some(before) = &self.before else { return make() };
        // Raising is always allowed, and so is going back to a score that was set with the privilege (proc(5)).
        let _ = set(before.trim_end());
        let made = make();
        let _ = set(PROTECTED);
        made
    }
}

fn set(score: &str) -> io::Result<()> {
    fs::write(FILE, score)
}
