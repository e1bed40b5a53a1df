//! Progress for a person: numbered steps, each with its time, and a summary at the end.

use crate::outcome::Outcome;
use std::time::{Duration, Instant};

/// The steps of one run and how long each took.
pub(crate) struct Steps {
    began: Instant,
    done: Vec<Step>,
}

/// One finished step.
struct Step {
    name: String,
    outcome: String,
    took: Duration,
    passed: bool,
}

impl Steps {
    /// Begins to count time.
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), done: Vec::new() }
    }

    /// Runs one step. Gives what it gave; its end is noted either way.
    pub(crate) fn step<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
        tell: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<T> {
        println!("[{}] {name} …", clock(self.began.elapsed()));
        let began = Instant::now();
        let result = work();
        let outcome = match &result {
            Ok(value) => tell(value),
            Err(error) => format!("failed: {error}"),
        };
        if !outcome.is_empty() {
            println!("[{}] {name}: {outcome}", clock(self.began.elapsed()));
        }
        let passed = result.is_ok();
        self.done.push(Step { name: name.to_owned(), outcome, took: began.elapsed(), passed });
        result
    }

    /// Says how the tests of the newest step fared; the step has failed if one of them has.
    pub(crate) fn conclude(&mut self, outcome: &Outcome) {
        if let Some(step) = self.done.last_mut() {
            step.outcome = outcome.short();
            step.passed &= outcome.failed.is_empty();
        }
    }

    /// Whether every step so far went well.
    pub(crate) fn all_passed(&self) -> bool {
        self.done.iter().all(|step| step.passed)
    }

    /// The table of all steps, one a line, with the whole time last.
    pub(crate) fn summary(&self) -> String {
        let widest = self.done.iter().map(|step| step.name.chars().count()).max().unwrap_or(0);
        let mut table = String::new();
        for step in &self.done {
            let mark = if step.passed { "ok  " } else { "FAIL" };
            table += &format!(
                "{mark}  {:<widest$}  {:>8}  {}\n",
                step.name,
                clock(step.took),
                step.outcome.lines().next().unwrap_or_default()
            );
        }
        table + &format!("      {:<widest$}  {:>8}\n", "in all", clock(self.began.elapsed()))
    }
}

/// A span of time as `m:ss.t`.
pub(crate) fn clock(span: Duration) -> String {
    let tenths = span.as_millis() / 100;
    format!("{}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_written_in_minutes_seconds_and_tenths() {
        assert_eq!(clock(Duration::from_millis(61_250)), "1:01.2");
        assert_eq!(clock(Duration::from_millis(90)), "0:00.0");
    }

    #[test]
    fn a_failed_step_is_marked_in_the_summary() {
        let mut steps = Steps::begin();
        steps.step("build", || Ok(3), |count| format!("{count} binaries")).unwrap();
        let failed = steps.step("lint", || anyhow::bail!("2 warnings"), |(): &()| String::new());
        assert!(failed.is_err());
        let summary = steps.summary();
        assert!(summary.contains("ok    build"), "{summary}");
        assert!(summary.contains("FAIL  lint"), "{summary}");
        assert!(summary.contains("failed: 2 warnings"), "{summary}");
        assert!(!steps.all_passed());
    }
}
