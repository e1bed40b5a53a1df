//! The same end-to-end suite in the VM, with cgroup v2 and another kernel, and the tests of the crates that talk to the
//! kernel.

use super::{Built, RELEASE, scope};
use crate::artifacts::Artifact;
use crate::outcome::Outcome;
use crate::steps::Steps;
use crate::vm::{self, EXTRAS, Payload};
use anyhow::Result;
use std::time::Duration;

/// The longest that the whole lane may take.
const PATIENCE: Duration = Duration::from_secs(45 * 60);

/// Crates whose tests run here too: what they find depends on the kernel and its control groups.
const KERNEL_CRATES: &[&str] = &["sys", "runtime", "snapshot", "net"];

/// Where the list of skipped tests stands in the output, since nothing else comes out of the VM.
const SKIPS: &str = "=== skipped in this lane";

/// Said behind a suite's name where a failed test of it is run once more, alone.
const ONCE_MORE: &str = " once more";

/// `suite NAME PROGRAM [WORD…]` runs a test program, then each test of it that failed once more, alone.
const AGAIN: &str = "suite() {
  name=$1; program=$2; shift 2
  echo \"=== $name\"; \"$program\" \"$@\" | tee /tmp/said
  for test in $(sed -n 's/^test \\(.*\\) \\.\\.\\. FAILED$/\\1/p' /tmp/said); do
    echo \"=== $name once more\"; \"$program\" --exact \"$test\"
  done
}
";

/// Boots the VM once, runs everything in it.
pub(super) fn tests(steps: &mut Steps, built: &Built, filter: Option<&str>) -> Result<Outcome> {
    let mut payload = Payload::new()?;
    payload.checkout()?;
    let sampan = payload.program(&built.sampan)?;
    payload.program(&built.shim)?;
    let suite = payload.program(&built.e2e.path)?;
    payload.extra(&built.images)?;
    let filter = filter.map(|filter| format!("'{}'", filter.replace('\'', ""))).unwrap_or_default();

    let mut script = format!(
        "{AGAIN}export SAMPAN_BIN={} SAMPAN_LANE=vm SAMPAN_TEST_SKIPS=/tmp/skips SAMPAN_TEST_IMAGES=/var/tmp/images\n\
         cp -a {EXTRAS}/test-images /var/tmp/images\n",
        sampan.display()
    );
    for test in built.tests.iter().filter(|test| talks_to_the_kernel(test)) {
        let inside = payload.program(&test.path)?;
        let folder = test.manifest.parent().unwrap_or(crate::repo::root());
        script +=
            &format!("cd {} && suite {} {} {filter}\n", folder.display(), scope(test), inside.display());
    }
    script += &format!(
        "suite e2e {} {filter} --test-threads 3\necho '{SKIPS}'\ncat /tmp/skips 2>/dev/null\nexit 0\n",
        suite.display()
    );

    let mut output = String::new();
    let run = || {
        vm::run_payload(RELEASE, payload, &script, PATIENCE, &mut |line| {
            print!("{line}");
            output += line;
        })
    };
    steps.step("end to end in the VM", run, |_| String::new())?;
    let outcome = read(&output);
    steps.conclude(&outcome);
    Ok(outcome)
}

fn talks_to_the_kernel(test: &Artifact) -> bool {
    let folder = test.manifest.parent().and_then(|folder| folder.file_name()).unwrap_or_default();
    KERNEL_CRATES.iter().any(|name| folder == *name)
}

/// Counts what the programs printed, each after its heading.
fn read(output: &str) -> Outcome {
    let (tests, skips) = output.split_once(SKIPS).unwrap_or((output, ""));
    let mut all = Outcome::default();
    for section in tests.split("=== ").skip(1) {
        let (scope, text) = section.split_once('\n').unwrap_or((section, ""));
        match scope.trim().strip_suffix(ONCE_MORE) {
            Some(scope) => all.settle(Outcome::of(scope, text)),
            None => all += Outcome::of(scope.trim(), text),
        }
    }
    all.note_skips("e2e", skips);
    // Nothing of what is left out is left out for good: see `take_left_out`.
    all.skipped.retain(|(_, reason)| !reason.starts_with("run by the tests"));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_programs_tests_are_counted_under_its_heading() {
        let output = "=== net\ntest a ... ok\ntest result: ok. 1 passed\n=== e2e\ntest a ... FAILED\ntest b ... ok\n\
                      test result: FAILED\n=== skipped in this lane\nb\tneeds cgroup v1\n";
        let outcome = read(output);
        assert_eq!(outcome.short(), "1 passed, 1 failed, 1 skipped");
        assert!(outcome.failed.contains("e2e::a") && outcome.passed.contains("net::a"));
    }

    #[test]
    fn what_passes_once_more_has_passed() {
        let output = "=== e2e\ntest a ... FAILED\ntest b ... FAILED\ntest result: FAILED\n=== e2e once more\ntest a ... ok\n\
                      test result: ok\n=== e2e once more\ntest b ... FAILED\ntest result: FAILED\n";
        let outcome = read(output);
        assert_eq!(outcome.short(), "1 passed, 1 failed");
        assert!(outcome.flaky.contains("e2e::a"));
    }

    #[test]
    fn a_vm_that_ends_early_has_failed() {
        assert_eq!(read("=== e2e\ntest a ... ok\n").short(), "1 passed, 1 failed");
    }
}
