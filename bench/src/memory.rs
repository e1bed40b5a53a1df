//! Memory of the processes that stand beside idle containers.

use crate::peers::{Peer, idle_mark};
use crate::processes::{self, Process};
use anyhow::{Result, ensure};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// How many idle containers each peer holds: enough for the pages that helpers share to count as shared.
pub(crate) const CONTAINERS: u32 = 5;

/// What one peer's helpers take.
#[derive(Debug)]
pub(crate) struct Helpers {
    /// The peer's name.
    pub(crate) peer: &'static str,
    /// The names of the programs that stand beside each container.
    pub(crate) programs: BTreeSet<String>,
    /// Their proportional set size for one container, in KiB.
    pub(crate) each_kib: u64,
    /// That of the daemons, which are there once, in KiB.
    pub(crate) once_kib: u64,
}

/// Weighs the helpers of these peers, each of which holds [`CONTAINERS`] idle containers.
pub(crate) fn measure(peers: &[&dyn Peer]) -> Result<Vec<Helpers>> {
    // What only starting took is given back by then.
    std::thread::sleep(Duration::from_secs(3));
    let all = processes::all()?;
    peers.iter().map(|peer| weigh(*peer, &all)).collect()
}

/// Sums up the processes between a peer's containers and the host's.
fn weigh(peer: &dyn Peer, all: &HashMap<u32, Process>) -> Result<Helpers> {
    let mark = idle_mark(peer.name());
    let inits: Vec<u32> =
        all.iter().filter(|(_, process)| process.words.last() == Some(&mark)).map(|(pid, _)| *pid).collect();
    ensure!(
        inits.len() == CONTAINERS as usize,
        "{} holds {} idle containers, not {CONTAINERS}",
        peer.name(),
        inits.len()
    );
    // Orphans fall to process 1 or to an ancestor of ours that asked for them; those are nobody's helpers.
    let own = std::process::id();
    let above: Vec<u32> = [vec![own], processes::ancestors(all, own)].concat();
    let daemons: BTreeSet<u32> =
        peer.daemons().into_iter().flat_map(|pid| processes::tree(all, pid)).collect();
    let helpers: BTreeSet<u32> = inits
        .iter()
        .flat_map(|pid| processes::ancestors(all, *pid))
        .filter(|pid| !above.contains(pid) && !inits.contains(pid) && !daemons.contains(pid))
        .collect();
    let sum = |pids: &BTreeSet<u32>| pids.iter().map(|pid| processes::pss_kib(*pid)).sum::<Result<u64>>();
    Ok(Helpers {
        peer: peer.name(),
        programs: helpers.iter().filter_map(|pid| Some(all.get(pid)?.name.clone())).collect(),
        each_kib: sum(&helpers)?.div_ceil(u64::from(CONTAINERS)),
        once_kib: sum(&daemons.into_iter().filter(|pid| !inits.contains(pid)).collect())?,
    })
}
