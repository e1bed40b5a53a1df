//! Waiting for what comes about by itself, with an end.

use std::time::{Duration, Instant};

/// Asks again until `ask` gives something; fails naming `what` after a multiple of `seconds`.
#[track_caller]
pub fn within<T>(seconds: u64, what: &str, ask: impl FnMut() -> Option<T>) -> T {
    try_within(seconds, ask)
        .unwrap_or_else(|| panic!("{what}: not in time ({seconds} s, times the lane's slowness)"))
}

/// Asks again until `ask` gives something; gives up after a multiple of `seconds`: two on the host, whose processors the
/// tests share, ten in the VM, which has no KVM.
pub(crate) fn try_within<T>(seconds: u64, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let slowness = if crate::lane() == crate::Lane::Vm { 10 } else { 2 };
    let end = Instant::now() + Duration::from_secs(seconds * slowness);
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() > end {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Asks again until it is true; fails naming `what` after a multiple of ten seconds.
#[track_caller]
pub fn eventually(what: &str, mut ask: impl FnMut() -> bool) {
    within(10, what, || ask().then_some(()));
}
