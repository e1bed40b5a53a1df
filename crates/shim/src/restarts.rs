//! How often init may reboot.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Most reboots within [`SPAN`].
const MOST: usize = 5;
/// The span in which reboots are counted.
const SPAN: Duration = Duration::from_secs(10);

/// Remembers the latest reboots, so that an init that reboots at once does not do so for ever.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    recent: VecDeque<Instant>,
}

impl Restarts {
    /// Counts a reboot at `now`; `false` when there have been too many.
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        while self.recent.front().is_some_and(|at| now.duration_since(*at) > SPAN) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.recent.len() <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_reboot_within_ten_seconds_is_one_too_many() {
        let start = Instant::now();
        let mut restarts = Restarts::default();
        for second in 0..5 {
            assert!(restarts.allow(start + Duration::from_secs(second)));
        }
        assert!(!restarts.allow(start + Duration::from_secs(9)));
    }

    #[test]
    fn a_slow_rebooter_may_go_on() {
        let start = Instant::now();
        let mut restarts = Restarts::default();
        assert!((0..100).all(|round| restarts.allow(start + Duration::from_secs(3 * round))));
    }
}
