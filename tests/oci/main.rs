//! Conformance of an OCI runtime: what its callers rely on, clause by clause.
//!
//! It drives any runtime by its command line alone, and looks at what it did from the kernel's side:
//! `SAMPAN_OCI_RUNTIME="/usr/sbin/runc" SAMPAN_OCI_KIND=runc cargo test -p sampan-tests --test oci`. `cargo xtask test` runs it on runc, crun and
//! ours, so that a wrong test is seen on the peers; `docs/dev/conformance.md` has the result. The expectation of a test is the
//! behaviour that callers rely on, whatever a peer does: where peers deviate stands in the table, not in the tests.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "all of this runs in tests only")]

mod support;

mod capabilities;
mod cgroups;
mod checkpoint;
mod commands;
mod descriptors;
mod devices;
mod environment;
mod events;
mod exec;
mod hooks;
mod ids;
mod lifecycle;
mod limits;
mod list;
mod logs;
mod masked;
mod messages;
mod modules;
mod mounts;
mod namespaces;
mod probe;
mod root;
mod rootless;
mod run;
mod safety;
mod scheduling;
mod seccomp;
mod sockets;
mod spec;
mod supervisor;
mod terminal;
mod update;
mod users;
