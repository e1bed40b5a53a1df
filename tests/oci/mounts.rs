//! Mounts: options, what is bound, where it lands, in which order.

mod bind;
mod idmap;
mod links;
mod memory;
mod options;
mod order;
mod propagation;
mod recursive;
mod userns;

use crate::support::Case;

/// Expects that the container cannot be created, and that nothing is left of the try.
#[track_caller]
fn refused(case: &Case) -> crate::support::Said {
    let said = case.create().failed();
    case.nothing_left();
    said
}
