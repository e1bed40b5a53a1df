//! The progress of long work: a live line for a terminal, plain lines otherwise.

use crate::terminal;
use indicatif::{ProgressBar, ProgressStyle};
use sampan_types::Progress;
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Shows steps on standard error, each with the time since the first.
pub(crate) struct Lines {
    shown: Mutex<Option<Shown>>,
}

struct Shown {
    began: Instant,
    bar: Option<ProgressBar>,
}

impl Lines {
    /// Shows nothing before the first step.
    pub(crate) fn new() -> Self {
        Self { shown: Mutex::new(None) }
    }

    fn with(&self, act: impl FnOnce(&mut Shown)) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        act(shown.get_or_insert_with(Shown::begin));
    }
}

impl Shown {
    fn begin() -> Self {
        let bar = terminal::is_interactive().then(|| {
            let style = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}");
            let bar = ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { began: Instant::now(), bar }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Lines {
    fn step(&self, what: &str) {
        self.with(|shown| match &shown.bar {
            Some(bar) => bar.set_message(super::printable(what)),
            None => eprintln!("[{:6.1} s] {}", shown.began.elapsed().as_secs_f64(), super::printable(what)),
        });
    }

    fn warn(&self, what: &str) {
        eprintln!("warning: {}", super::printable(what));
    }

    fn advance(&self, done: u64, total: u64) {
        self.with(|shown| {
            if let Some(bar) = &shown.bar {
                let of = if total > 0 { format!(" of {}", super::bytes(total)) } else { String::new() };
                bar.set_prefix(format!("{}{of}", super::bytes(done)));
            }
        });
    }
}
