//! Links, addresses, routes and the firewall of the engine's networks.
//!
//! The kernel is spoken to directly (rtnetlink and nf_tables); no helper program is ever started. The crate knows
//! networks and endpoints, not containers: its inputs are plain values and a network namespace's descriptor.
//!
//! # The way of an endpoint
//! All of it goes through a [`Host`], the process's handle on the host's network.
//!
//! 1. [`Host::ensure_bridge`] once for each use of a network: bridge, gateway addresses, sysctls, firewall table.
//! 2. [`Host::plan`] checks everything and touches nothing: addresses, published ports, names. What it gives, a [`Plan`],
//!    is the only way to an attachment, so that nothing half-checked is ever wired.
//! 3. [`Host::attach`] makes a veth pair with the inner end born in the namespace, gives it its addresses and routes,
//!    and publishes the ports in one atomic firewall batch. A failure undoes what was done.
//! 4. [`Host::detach`] takes all of it away, as often as it is called; [`Host::retire`] does it more quickly for a
//!    namespace that is ending.
//!
//! [`Host::reconcile`] puts a network right after something else changed the host: `nft flush ruleset`, a `kill -9`.
//!
//! # What is where
//! An endpoint is one link (`sp` and the first 11 digits of its id) and elements of maps in one nf_tables table of the
//! engine's own ([`Network::table`]); endpoints never add rules, so that the thousandth costs what the first one does.

mod attach;
mod bridge;
mod firewall;
mod host;
mod link;
mod listener;
mod netlink;
mod network;
mod plan;
mod reconcile;
mod subnet;

pub use attach::{Attached, loopback_up};
pub use host::Host;
pub use network::{Endpoint, Network};
pub use plan::Plan;
