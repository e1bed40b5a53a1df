//! What Sampan may take, as a share of what a peer takes in the same run.

use crate::measure::Work;

/// An upper bound on the ratio of two medians.
#[derive(Debug)]
pub(crate) struct Budget {
    /// What Sampan does.
    pub(crate) ours: Work,
    /// Whom it is held against.
    pub(crate) peer: &'static str,
    /// What that peer does.
    pub(crate) theirs: Work,
    /// The share of the peer's time that Sampan may take.
    pub(crate) share: f64,
    /// The share as people say it.
    pub(crate) words: &'static str,
}

/// For `start`.
pub(crate) const START: &[Budget] = &[
    Budget { ours: Work::NoNetwork, peer: "crun", theirs: Work::Bundle, share: 0.8, words: "0.8" },
    Budget { ours: Work::Published, peer: "crun", theirs: Work::Bundle, share: 1.6, words: "1.6" },
    Budget {
        ours: Work::Published,
        peer: "docker",
        theirs: Work::Published,
        share: 1.0 / 15.0,
        words: "1/15",
    },
];

/// For `exec`.
pub(crate) const EXEC: &[Budget] = &[
    Budget { ours: Work::Exec, peer: "crun", theirs: Work::Exec, share: 0.8, words: "0.8" },
    Budget { ours: Work::Exec, peer: "docker", theirs: Work::Exec, share: 1.0 / 15.0, words: "1/15" },
];

/// For `oci`.
pub(crate) const OCI: &[Budget] = &[
    Budget { ours: Work::Bundle, peer: "crun", theirs: Work::Bundle, share: 0.6, words: "0.6" },
    Budget { ours: Work::Exec, peer: "crun", theirs: Work::Exec, share: 0.8, words: "0.8" },
];

/// The memory of all helpers of one idle container, in KiB.
pub(crate) const MEMORY_KIB: u64 = 1024;
