//! Network devices that move into the container. The host's side is a namespace of the test's own.

use super::Holder;
use crate::support::{Case, json, skip};
use std::process::{Command, Stdio};

#[test]
fn a_network_device_moves_into_the_container() {
    let Some(host) = Netns::new() else { skip!("no dummy device can be made here") };
    let mut case = Case::sh("ip -o link show eth7; ip -o addr show eth7");
    case.set("/linux/netDevices", json!({ "dummy7": { "name": "eth7" } }));
    host.ip(&["link", "add", "dummy7", "mtu", "1400", "type", "dummy"]);
    host.ip(&["addr", "add", "10.99.7.1/24", "dev", "dummy7"]);
    host.ip(&["link", "set", "dummy7", "up"]);
    let said = case.end(host.inside(&case.bundled("run", &[]))).ok();
    assert!(said.contains("eth7") && said.contains("mtu 1400") && said.contains("10.99.7.1/24"), "{said}");
}

#[test]
fn a_network_device_keeps_its_name_unless_given_another() {
    let Some(host) = Netns::new() else { skip!("no dummy device can be made here") };
    let mut case = Case::sh("ip -o link show dummy8");
    case.set("/linux/netDevices", json!({ "dummy8": {} }));
    host.ip(&["link", "add", "dummy8", "type", "dummy"]);
    let said = case.end(host.inside(&case.bundled("run", &[]))).ok();
    assert!(said.contains("dummy8"), "{said}");
}

#[test]
fn a_network_device_that_is_not_there_is_refused() {
    let Some(host) = Netns::new() else { skip!("no dummy device can be made here") };
    let mut case = Case::new();
    case.set("/linux/netDevices", json!({ "nosuch": {} }));
    case.end(host.inside(&case.bundled("run", &[]))).failed().complains("nosuch");
    case.nothing_left();
}

#[test]
fn a_network_device_with_an_invalid_name_is_refused() {
    let Some(host) = Netns::new() else { skip!("no dummy device can be made here") };
    for name in ["a/b", "a b", "name-longer-than-15", "."] {
        let mut case = Case::new();
        host.ip(&["link", "add", "dummy9", "type", "dummy"]);
        case.set("/linux/netDevices", json!({ "dummy9": { "name": name } }));
        case.end(host.inside(&case.bundled("run", &[]))).failed();
        case.nothing_left();
        host.ip(&["link", "del", "dummy9"]);
    }
}

#[test]
fn a_network_device_without_a_network_namespace_is_refused() {
    let Some(host) = Netns::new() else { skip!("no dummy device can be made here") };
    let mut case = Case::new();
    host.ip(&["link", "add", "dummy6", "type", "dummy"]);
    case.without_namespace("network").set("/linux/netDevices", json!({ "dummy6": {} }));
    case.end(host.inside(&case.bundled("run", &[]))).failed();
    case.nothing_left();
}

/// A network namespace that stands for the host's: its devices are this test's own.
struct Netns {
    holder: Holder,
}

impl Netns {
    /// Nothing where the kernel cannot make a dummy device.
    fn new() -> Option<Self> {
        let own = Self { holder: Holder::with(&["--net"]) };
        let made = own.try_ip(&["link", "add", "probe", "type", "dummy"]);
        own.try_ip(&["link", "del", "probe"]);
        made.then_some(own)
    }

    fn try_ip(&self, words: &[&str]) -> bool {
        let pid = self.holder.pid.to_string();
        Command::new("nsenter")
            .args(["--net", "--target", &pid, "ip"])
            .args(words)
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    #[track_caller]
    fn ip(&self, words: &[&str]) {
        assert!(self.try_ip(words), "ip {}", words.join(" "));
    }

    /// The command, started in the namespace.
    fn inside(&self, command: &Command) -> Command {
        let mut outer = Command::new("nsenter");
        outer
            .args(["--net", "--target", &self.holder.pid.to_string()])
            .arg(command.get_program())
            .args(command.get_args());
        outer.stdin(Stdio::null());
        outer
    }
}
