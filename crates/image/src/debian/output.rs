//! What `mmdebstrap` and the tools it runs say, turned into steps.

use sampan_types::Progress;
use std::collections::VecDeque;

/// Lines kept for an error message.
const KEPT: usize = 12;

/// Reads the tools' output line by line.
pub(super) struct Output<'a> {
    progress: &'a dyn Progress,
    /// Packages to be installed in the present step, and how many have been unpacked and set up.
    packages: u64,
    handled: u64,
    last: VecDeque<String>,
    errors: Vec<String>,
}

impl<'a> Output<'a> {
    pub(super) fn new(progress: &'a dyn Progress) -> Self {
        Self { progress, packages: 0, handled: 0, last: VecDeque::new(), errors: Vec::new() }
    }

    /// Takes one line in.
    pub(super) fn line(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        self.progress.detail(line);
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
        if line.starts_with("E: ")
            && self.errors.len() < KEPT
            && !self.errors.iter().any(|other| other == line)
        {
            self.errors.push(line.to_owned());
        }
        if let Some(step) = line.strip_prefix("I: ").and_then(step) {
            (self.packages, self.handled) = (0, 0);
            self.progress.step(step);
        } else if let Some(count) = newly_installed(line) {
            (self.packages, self.handled) = (count, 0);
        } else if line.starts_with("Unpacking ") || line.starts_with("Setting up ") {
            self.handled += 1;
            // Each package is unpacked, then set up.
            self.progress.advance(self.handled.min(self.packages * 2), self.packages * 2);
        }
    }

    /// Why the tool failed: its errors or, where it named none, its last lines.
    pub(super) fn reason(&self) -> String {
        let lines: Vec<&str> = match self.errors.as_slice() {
            [] => self.last.iter().map(String::as_str).collect(),
            errors => errors.iter().map(String::as_str).collect(),
        };
        lines.join("\n")
    }

    /// Whether the mirror is what failed.
    pub(super) fn blames_mirror(&self) -> bool {
        let signs =
            ["Failed to fetch", "Could not resolve", "Could not connect", "does not have a Release file"];
        self.errors.iter().chain(&self.last).any(|line| signs.iter().any(|sign| line.contains(sign)))
    }

    /// Whether a package does not exist.
    pub(super) fn misses_package(&self) -> bool {
        self.errors.iter().any(|line| {
            line.contains("Unable to locate package") || line.contains("no installation candidate")
        })
    }
}

/// The words for a person, of mmdebstrap's messages that begin something.
fn step(message: &str) -> Option<&'static str> {
    let steps = [
        ("running apt-get update", "fetching package lists"),
        ("downloading packages with apt", "fetching packages"),
        ("extracting archives", "extracting essential packages"),
        ("installing essential packages", "installing essential packages"),
        ("installing remaining packages", "installing packages"),
        ("running --customize-hook", "customizing"),
        ("cleaning package lists", "cleaning up"),
        ("creating tarball", "packing"),
    ];
    steps.iter().find(|(start, _)| message.starts_with(start)).map(|(_, step)| *step)
}

/// The count in apt's `0 upgraded, 57 newly installed, 0 to remove and 0 not upgraded.`
fn newly_installed(line: &str) -> Option<u64> {
    let (before, _) = line.split_once(" newly installed")?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    impl Progress for Told {
        fn step(&self, what: &str) {
            self.0.lock().unwrap().push(what.to_owned());
        }

        fn advance(&self, done: u64, total: u64) {
            self.0.lock().unwrap().push(format!("{done}/{total}"));
        }
    }

    #[test]
    fn lines_become_steps() {
        let told = Told::default();
        let mut output = Output::new(&told);
        for line in [
            "I: automatically chosen mode: root",
            "I: running apt-get update...",
            "I: installing remaining packages inside the chroot...",
            "0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.",
            "Unpacking cron (3.0) ...",
            "Setting up cron (3.0) ...",
        ] {
            output.line(line);
        }
        assert_eq!(*told.0.lock().unwrap(), ["fetching package lists", "installing packages", "1/2", "2/2"]);
    }

    #[test]
    fn errors_are_the_reason_where_there_are_any() {
        let mut output = Output::new(&sampan_types::NoProgress);
        output.line("one");
        output.line("two");
        assert_eq!(output.reason(), "one\ntwo");
        output.line("E: Unable to locate package nonesuch");
        output.line("E: Unable to locate package nonesuch");
        assert_eq!(output.reason(), "E: Unable to locate package nonesuch");
        assert!(output.misses_package() && !output.blames_mirror());
    }
}
