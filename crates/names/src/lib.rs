//! DNS and DHCP for the engine's networks: one process a host and engine, started on demand, gone when unused.
//!
//! # The contract with the engine
//! A directory (`<run>/names`) is all that engine and process share:
//!
//! - `<network>/network.json`: a [`NetworkEntry`], written by [`publish_network`].
//! - `<network>/<id>.json`: an [`Entry`] for each endpoint, written by [`publish`] when it is attached and removed by
//!   [`unpublish`]. All files are replaced by rename, so that no half of one is ever read.
//! - `<network>/problem`: why the network is not served, written by the process; [`problem`] reads it.
//! - `lock`: held (flock(2)) by the process as long as it serves.
//!
//! The process has no state of its own: killed at any moment and started again, it serves the same. Whoever publishes
//! calls [`ensure_running`] afterwards.
//!
//! # What is served
//! On each network's gateway addresses, port 53, UDP and TCP: the endpoints' names, host names, aliases and short ids,
//! bare or followed by the network's name; reverse names of the network's addresses; everything else as the host's own
//! resolvers answer it. On the bridge, DHCPv4: exactly the address that an endpoint has anyway, for systems that run
//! their own client.

mod contract;
mod dhcp;
mod dns;
mod forward;
mod process;
mod resolvers;
mod serve;
mod sockets;
mod zone;

pub use contract::{Entry, NetworkEntry, problem, publish, publish_network, unpublish, unpublish_network};
pub use process::{ensure_running, run, stop};
