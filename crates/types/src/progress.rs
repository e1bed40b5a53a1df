//! How long work tells what it is doing.

/// Receives the progress of one operation. The edge decides how it looks.
pub trait Progress: Send + Sync {
    /// A step begins, in the words a person reads: `unpacking bookworm packages`.
    fn step(&self, what: &str);

    /// Units done of a total within the present step; a total of 0 means unknown. Units are bytes where nothing else
    /// is said by the step.
    fn advance(&self, done: u64, total: u64) {
        let _ = (done, total);
    }

    /// Something was passed over that the caller should know of.
    fn warn(&self, what: &str) {
        let _ = what;
    }

    /// A line of output of a tool that the engine runs, for those who want to see it.
    fn detail(&self, line: &str) {
        let _ = line;
    }
}

/// Says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn step(&self, _what: &str) {}
}
