//! What a test program printed, counted.

use std::collections::BTreeSet;
use std::ops::AddAssign;

/// How many tests passed, failed or could not run here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Tests that ran and found what they expected.
    pub(crate) passed: BTreeSet<String>,
    /// Tests that did not, and programs that ended without saying how they fared.
    pub(crate) failed: BTreeSet<String>,
    /// Tests that did not run, with the reason.
    pub(crate) skipped: Vec<(String, String)>,
    /// Those of the passed that failed beside others, and passed when run once more alone: a busy machine, or a fault that
    /// shows rarely. They are named at the end, so that nobody overlooks the second.
    pub(crate) flaky: BTreeSet<String>,
}

impl Outcome {
    /// Reads the output of libtest: a line `test NAME ... ok|FAILED|ignored[, REASON]` for each test. `scope` goes before
    /// each name. Without its last line (`test result: …`) the program was ended early, and counts as one failure.
    pub(crate) fn of(scope: &str, output: &str) -> Self {
        let mut outcome = Self::default();
        for line in output.lines() {
            let Some((name, verdict)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
            else {
                continue;
            };
            let name = format!("{scope}::{}", name.trim_end_matches(" - should panic"));
            match verdict {
                "ok" => _ = outcome.passed.insert(name),
                ignored if ignored.starts_with("ignored") => {
                    let reason = ignored.trim_start_matches("ignored").trim_start_matches(", ");
                    outcome
                        .skipped
                        .push((name, if reason.is_empty() { "no reason given" } else { reason }.to_owned()));
                }
                _ => _ = outcome.failed.insert(name),
            }
        }
        if !output.lines().any(|line| line.starts_with("test result: ")) {
            outcome.failed.insert(format!("{scope} (ended without a result)"));
        }
        outcome
    }

    /// Takes the tests out of those that passed that say themselves that they could not run: lines of `NAME<tab>REASON`.
    pub(crate) fn note_skips(&mut self, scope: &str, listing: &str) {
        for (name, reason) in listing.lines().filter_map(|line| line.split_once('\t')) {
            let name = format!("{scope}::{name}");
            if self.passed.remove(&name) {
                self.skipped.push((name, reason.to_owned()));
            }
        }
    }

    /// Takes out the tests marked `#[ignore]`, and gives their names as the program knows them. What is marked with a reason
    /// that begins with `run by the tests` is none: a test starts its own program again as another process by that name.
    pub(crate) fn take_left_out(&mut self, scope: &str) -> Vec<String> {
        let prefix = format!("{scope}::");
        let tests = std::mem::take(&mut self.skipped).into_iter();
        let tests = tests.filter(|(_, reason)| !reason.starts_with("run by the tests"));
        tests.filter_map(|(name, _)| Some(name.strip_prefix(&prefix)?.to_owned())).collect()
    }

    /// The names of the tests that failed, as the program knows them.
    pub(crate) fn to_run_again(&self, scope: &str) -> Vec<String> {
        let prefix = format!("{scope}::");
        self.failed.iter().filter_map(|name| Some(name.strip_prefix(&prefix)?.to_owned())).collect()
    }

    /// Takes in what running failed tests once more, each alone, has shown.
    pub(crate) fn settle(&mut self, again: Self) {
        for name in again.passed {
            if self.failed.remove(&name) {
                self.passed.insert(name.clone());
                self.flaky.insert(name);
            }
        }
    }

    /// The same with the lane's name before each test, so that both lanes' tests are counted.
    pub(crate) fn in_lane(self, lane: &str) -> Self {
        let name = |test: String| format!("{lane}: {test}");
        Self {
            passed: self.passed.into_iter().map(name).collect(),
            failed: self.failed.into_iter().map(name).collect(),
            skipped: self.skipped.into_iter().map(|(test, reason)| (name(test), reason)).collect(),
            flaky: self.flaky.into_iter().map(name).collect(),
        }
    }

    /// One line about it, for a step.
    pub(crate) fn short(&self) -> String {
        let skipped = self.skipped.len();
        let tail = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
        format!("{} passed, {} failed{tail}", self.passed.len(), self.failed.len())
    }
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.passed.extend(other.passed);
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
        self.flaky.extend(other.flaky);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\nrunning 4 tests\ntest a::one ... ok\ntest a::two ... FAILED\ntest three ... ignored, needs zfs\n\
                          test four - should panic ... ok\n\ntest result: FAILED. 2 passed; 1 failed; 1 ignored\n";

    #[test]
    fn the_lines_of_a_test_program_are_counted() {
        let outcome = Outcome::of("net", OUTPUT);
        assert_eq!(outcome.short(), "2 passed, 1 failed, 1 skipped");
        assert!(outcome.failed.contains("net::a::two"));
        assert_eq!(outcome.skipped, [("net::three".to_owned(), "needs zfs".to_owned())]);
    }

    #[test]
    fn tests_that_are_left_out_are_given_by_name_and_processes_are_not() {
        let output = "test slow ... ignored, takes minutes\ntest process ... ignored, run by the tests as the server\n\
                      test result: ok.\n";
        let mut outcome = Outcome::of("net", output);
        assert_eq!(outcome.take_left_out("net"), ["slow"]);
        assert!(outcome.skipped.is_empty());
    }

    #[test]
    fn what_passes_alone_has_passed_and_is_named() {
        let mut outcome = Outcome::of("net", OUTPUT);
        assert_eq!(outcome.to_run_again("net"), ["a::two"]);
        outcome.settle(Outcome::of("net", "test a::two ... ok\ntest result: ok.\n"));
        assert_eq!(outcome.short(), "3 passed, 0 failed, 1 skipped");
        assert!(outcome.flaky.contains("net::a::two"));
        let mut outcome = Outcome::of("net", OUTPUT);
        outcome.settle(Outcome::of("net", "test a::two ... FAILED\ntest result: FAILED.\n"));
        assert_eq!(outcome.short(), "2 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn a_program_that_ends_early_has_failed() {
        let outcome = Outcome::of("net", "running 2 tests\ntest a ... ok\n");
        assert_eq!(outcome.short(), "1 passed, 1 failed");
        assert!(outcome.failed.contains("net (ended without a result)"));
    }

    #[test]
    fn a_test_that_says_it_could_not_run_has_not_passed() {
        let mut outcome = Outcome::of("net", OUTPUT);
        outcome.note_skips("net", "a::one\tneeds cgroup v2\n");
        assert_eq!(outcome.short(), "1 passed, 1 failed, 2 skipped");
    }
}
