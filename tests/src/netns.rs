//! A machine on the other side of a cable: a network namespace with an address from which it reaches this host.

use crate::{Said, http, within};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A network namespace, joined to the host's by a pair of virtual Ethernet devices.
pub struct Client {
    name: String,
    device: String,
    /// The client's address.
    pub address: String,
    /// The host's address on the cable.
    pub host: String,
    /// The client's IPv6 address.
    pub address6: String,
    /// The host's IPv6 address on the cable.
    pub host6: String,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Client {
    /// Makes the namespace and the cable.
    #[track_caller]
    pub fn new() -> Self {
        let number = (std::process::id() * 8 + NEXT.fetch_add(1, Ordering::Relaxed)) % 16_000;
        let (high, low) = (number / 64, number % 64 * 4);
        let client = Self {
            name: format!("sampan-test-{number}"),
            device: format!("stest{number}"),
            address: format!("10.213.{high}.{}", low + 2),
            host: format!("10.213.{high}.{}", low + 1),
            address6: format!("fd13:7357:{number:x}::2"),
            host6: format!("fd13:7357:{number:x}::1"),
        };
        let (name, device) = (&client.name, &client.device);
        ip(&format!("netns add {name}"));
        ip(&format!("link add {device} type veth peer name eth0 netns {name}"));
        ip(&format!("address add {}/30 dev {device}", client.host));
        ip(&format!("address add {}/64 dev {device} nodad", client.host6));
        ip(&format!("link set {device} up"));
        ip(&format!("-n {name} address add {}/30 dev eth0", client.address));
        ip(&format!("-n {name} address add {}/64 dev eth0 nodad", client.address6));
        ip(&format!("-n {name} link set lo up"));
        ip(&format!("-n {name} link set eth0 up"));
        ip(&format!("-n {name} route add default via {}", client.host));
        ip(&format!("-n {name} -6 route add default via {}", client.host6));
        client
    }

    /// Runs something in the client's namespace: sockets that are made in it belong there, wherever they are used later.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name)).expect("the client's namespace");
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("a thread can enter the client's namespace");
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Fetches a page over HTTP from the client, asking again until a server answers.
    #[track_caller]
    pub fn fetch(&self, url: &str) -> String {
        within(10, url, || self.try_fetch(url).ok())
    }

    /// Asks once.
    ///
    /// # Errors
    /// Where no server answers within two seconds.
    pub fn try_fetch(&self, url: &str) -> std::io::Result<String> {
        self.inside(|| http::get(url))
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The cable goes with either of its ends.
        let _ = Command::new("ip").args(["link", "delete", &self.device]).output();
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }
}

#[track_caller]
fn ip(line: &str) {
    Said::of(Command::new("ip").args(line.split_whitespace())).code(0);
}
