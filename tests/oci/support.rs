//! What the cases stand on: a runtime, a bundle of their own, and a look at the kernel's side.
#![allow(dead_code, unused_imports, unused_macros, reason = "the areas that use all of it are being added")]

mod bundle;
mod call;
mod case;
mod cgroups;
mod config;
mod console;
mod criu;
mod leftovers;
mod mounts;
mod runtime;

pub(crate) use case::Case;
pub(crate) use cgroups::{cgroup_v2, controller, hierarchies, own_cgroup};
pub(crate) use console::{Console, ConsoleSocket, receive};
pub(crate) use criu::{criu, has_iptables, with_criu};
pub(crate) use leftovers::remove_group;
pub(crate) use mounts::{HostMounts, Mount, mount_at, mounts, word};
pub(crate) use runtime::{Kind, runtime};
pub(crate) use sampan_tests::{Said, note_skip, within};
pub(crate) use serde_json::{Value, json};

/// Says why the case at hand cannot run here, and ends it.
macro_rules! skip {
    ($($words:tt)*) => {{
        $crate::support::note_skip(&format!($($words)*));
        return;
    }};
}
pub(crate) use skip;
