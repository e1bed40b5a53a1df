//! Checkpoint and restore: a container's processes go on where they were.

mod kept;
mod outside;
mod refused;
mod saved;

use crate::support::{Case, Said, has_iptables, with_criu, within};
use std::process::{Command, Stdio};

/// A program with something in its memory that can be seen from outside.
const COUNT: &str =
    "n=0; while :; do n=$((n+1)); echo $n > /tmp/n.new; mv /tmp/n.new /tmp/n; sleep 0.02; done";

/// A container that is saved and restored.
struct Scene {
    case: Case,
}

impl Scene {
    /// One that counts.
    fn counting() -> Self {
        Self::sh(COUNT)
    }

    /// One that runs a script.
    fn sh(script: &str) -> Self {
        let mut case = Case::sh(script);
        if !has_iptables() {
            // Else CRIU fails before it has begun.
            let path = case.path("criu.conf");
            std::fs::write(&path, "network-lock nftables\n").unwrap();
            case.set("/annotations/org.criu.config", path);
        }
        Self { case }
    }

    /// Runs a call with streams that CRIU need not save.
    #[track_caller]
    fn quietly(&self, mut command: Command) -> i32 {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = self.case.spawn(command);
        self.case.reap(&mut child)
    }

    /// Starts the container.
    #[track_caller]
    fn start(&self) {
        assert_eq!(self.quietly(self.case.bundled("run", &["--detach"])), 0);
    }

    /// Starts it and waits until it counts.
    #[track_caller]
    fn start_counting(&self) {
        self.start();
        within(10, "the container counts", || (self.count() > 2).then_some(()));
    }

    /// How far it has counted.
    fn count(&self) -> u64 {
        let text = std::fs::read_to_string(self.case.rootfs("tmp/n")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    /// Asserts that it counts, from where it was.
    #[track_caller]
    fn goes_on(&self, from: u64) {
        within(10, "the container goes on", || (self.count() > from + 2).then_some(()));
        assert!(self.count() < from + 2000, "it goes on from {from}, and is at {}", self.count());
    }

    /// The call that saves it.
    fn saving(&self, options: &[&str]) -> Command {
        let images = self.case.path("images");
        let work = self.case.path("work");
        let words = ["checkpoint", "--image-path", &images, "--work-path", &work];
        with_criu(self.case.command(&[&words, options, &[self.case.id()]].concat()))
    }

    #[track_caller]
    fn checkpoint(&self, options: &[&str]) -> Said {
        self.case.end(self.saving(options))
    }

    /// The call that restores it.
    fn restoring(&self, options: &[&str]) -> Command {
        let images = self.case.path("images");
        let work = self.case.path("work");
        let words = ["--image-path", &images, "--work-path", &work];
        with_criu(self.case.bundled("restore", &[&words, options].concat()))
    }

    #[track_caller]
    fn restore(&self, options: &[&str]) -> Said {
        self.case.end(self.restoring(&[&["--detach"], options].concat()))
    }

    /// Saves and restores it.
    #[track_caller]
    fn there_and_back(&self) {
        self.checkpoint(&[]).code(0);
        assert_eq!(self.case.status(), "none", "it is gone");
        self.restore(&[]).code(0);
        assert_eq!(self.case.status(), "running");
    }
}

/// Ends the case where CRIU cannot be had.
macro_rules! needs_criu {
    () => {
        if let Err(why) = crate::support::criu() {
            crate::support::skip!("{why}");
        }
    };
}
use needs_criu;
