//! Whom Sampan is measured against, and Sampan itself: one file each.

mod docker;
mod lxc;
pub(crate) mod oci;
mod podman;
mod sampan;

use crate::measure::Contender;
use crate::programs::find;
use crate::scene::Scene;
use anyhow::Result;

/// One program that runs containers, ready to be measured.
pub(crate) trait Peer {
    /// Its name in tables.
    fn name(&self) -> &'static str;

    /// Its name and version, as one short line.
    fn version(&self) -> String;

    /// The commands that run `true` in a new container and leave none behind.
    fn starts(&self) -> Vec<Contender>;

    /// Starts idle container `number` without network: `sleep` with [`idle_mark`] as its last word.
    fn idle(&self, number: u32) -> Result<()>;

    /// The command that runs `true` in idle container 0.
    fn exec(&self) -> Contender;

    /// Processes that are there once, however many containers run: these and all below them that are no container's.
    fn daemons(&self) -> Vec<u32> {
        Vec::new()
    }

    /// Removes the idle containers and ends what was started for the peer.
    fn close(&mut self) -> Result<()>;
}

/// A peer that takes no part.
#[derive(Debug)]
pub(crate) struct Absent {
    /// Its name.
    pub(crate) peer: &'static str,
    /// Why not.
    pub(crate) why: String,
}

/// How many seconds a peer's idle containers sleep: a number that tells them from every other process of the host.
pub(crate) fn idle_mark(peer: &str) -> String {
    let place = PEERS.iter().position(|candidate| candidate.name == peer).unwrap_or(PEERS.len());
    (100_000_000 + u64::from(std::process::id()) * 10 + place as u64).to_string()
}

/// The name of idle container `number`.
fn idle_name(number: u32) -> String {
    format!("idle-{number}")
}

struct Candidate {
    name: &'static str,
    /// The programs without which it cannot take part.
    programs: &'static [&'static str],
    open: fn(&Scene) -> Result<Box<dyn Peer>>,
}

const PEERS: &[Candidate] = &[
    Candidate { name: sampan::NAME, programs: &[], open: sampan::open },
    Candidate { name: "crun", programs: &["crun"], open: |scene| bare("crun", scene) },
    Candidate { name: "runc", programs: &["runc"], open: |scene| bare("runc", scene) },
    Candidate { name: podman::NAME, programs: &["podman", "conmon", "crun"], open: podman::open },
    Candidate { name: docker::NAME, programs: &["docker", "dockerd", "containerd"], open: docker::open },
    Candidate { name: lxc::NAME, programs: &["lxc-start", "lxc-attach", "lxc-stop"], open: lxc::open },
];

fn bare(name: &'static str, scene: &Scene) -> Result<Box<dyn Peer>> {
    Ok(Box::new(oci::open(name, name, scene)?))
}

/// The bare OCI runtimes that could be made ready, ours first, and those that could not.
pub(crate) fn runtimes(scene: &Scene) -> (Vec<oci::Runtime>, Vec<Absent>) {
    let (mut ready, mut absent) = (Vec::new(), Vec::new());
    let ours = scene.runtime.to_string_lossy().into_owned();
    for (name, program) in [(sampan::NAME, ours.as_str()), ("crun", "crun"), ("runc", "runc")] {
        match oci::open(name, program, scene).and_then(|runtime| runtime.idle(0).map(|()| runtime)) {
            Ok(runtime) => ready.push(runtime),
            Err(error) => absent.push(Absent { peer: name, why: format!("{error:#}") }),
        }
    }
    (ready, absent)
}

/// Has each peer start `count` idle containers. Gives the peers that did, and those that could not.
pub(crate) fn idle(peers: &[Box<dyn Peer>], count: u32) -> (Vec<&dyn Peer>, Vec<Absent>) {
    let (mut running, mut absent) = (Vec::new(), Vec::new());
    for peer in peers {
        match (0..count).try_for_each(|number| peer.idle(number)) {
            Ok(()) => running.push(peer.as_ref()),
            Err(error) => absent.push(Absent { peer: peer.name(), why: format!("{error:#}") }),
        }
    }
    (running, absent)
}

/// All peers that could be made ready, and those that could not.
pub(crate) fn open(scene: &Scene) -> (Vec<Box<dyn Peer>>, Vec<Absent>) {
    let (mut ready, mut absent) = (Vec::new(), Vec::new());
    for Candidate { name, programs, open } in PEERS {
        eprintln!("bench: preparing {name}");
        let missing: Vec<&str> = programs.iter().copied().filter(|program| find(program).is_none()).collect();
        let opened = match missing.as_slice() {
            [] => open(scene).map_err(|error| format!("{error:#}")),
            missing => Err(format!("not installed: {}", missing.join(", "))),
        };
        match opened {
            Ok(peer) => ready.push(peer),
            Err(why) => absent.push(Absent { peer: name, why }),
        }
    }
    (ready, absent)
}
