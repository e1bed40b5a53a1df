//! Side-by-side measurements against the peers: crun, runc, podman, docker and lxc, interleaved in one run.
//!
//! `cargo xtask bench oci|start|exec|memory` builds the release programs and calls this one. All contenders run the same busybox root
//! file system on the same disk, in network and mount namespaces that end with the run. `docs/dev/performance.md` says how to read
//! what it prints.

mod args;
mod budgets;
mod confine;
mod machine;
mod measure;
mod memory;
mod peers;
mod processes;
mod programs;
mod report;
mod scene;
mod table;

use anyhow::Result;
use args::{Args, Measure};
use clap::Parser as _;
use peers::Peer;
use scene::Scene;

fn main() -> Result<()> {
    let args = Args::parse();
    if !args.confined {
        return confine::again();
    }
    let state = confine::begin()?;
    let result = measured(&args, &state);
    let ended = state.end();
    print!("{}", result?);
    ended
}

/// Prepares the contenders, measures, takes everything away; gives the report.
fn measured(args: &Args, state: &confine::Private) -> Result<String> {
    let mut report = machine::describe()?;
    let scene = Scene::build(&args.sampan, state.disk())?;
    let measure = match args.what {
        Measure::Oci => return measure_runtimes(args, &scene).map(|text| report + &text),
        Measure::Start => measure_start,
        Measure::Exec => measure_exec,
        Measure::Memory => measure_memory,
    };
    let (mut peers, absent) = peers::open(&scene);
    let result = measure(args, &peers);
    report += &report::peers(&peers, &absent);
    let mut closed = Ok(());
    for peer in &mut peers {
        closed = closed.and(peer.close());
    }
    report += &result?;
    closed.map(|()| report)
}

/// Our OCI runtime beside the others, nothing above them.
fn measure_runtimes(args: &Args, scene: &Scene) -> Result<String> {
    let (mut runtimes, absent) = peers::runtimes(scene);
    let contenders: Vec<_> = runtimes.iter().flat_map(|runtime| runtime.contenders()).collect();
    let samples = measure::interleaved(&contenders, args.rounds, args.warm_up);
    let versions: Vec<String> = runtimes.iter().map(Peer::version).collect();
    runtimes.iter_mut().try_for_each(Peer::close)?;
    let text = format!("Versions: {}\n\n", versions.join("; ")) + &report::absent(&absent);
    Ok(text + &report::times(&contenders, &samples?, budgets::OCI))
}

fn measure_start(args: &Args, peers: &[Box<dyn Peer>]) -> Result<String> {
    let contenders: Vec<_> = peers.iter().flat_map(|peer| peer.starts()).collect();
    let samples = measure::interleaved(&contenders, args.rounds, args.warm_up)?;
    Ok(report::times(&contenders, &samples, budgets::START))
}

fn measure_exec(args: &Args, peers: &[Box<dyn Peer>]) -> Result<String> {
    let (running, absent) = peers::idle(peers, 1);
    let contenders: Vec<_> = running.iter().map(|peer| peer.exec()).collect();
    let samples = measure::interleaved(&contenders, args.rounds, args.warm_up)?;
    Ok(report::absent(&absent) + &report::times(&contenders, &samples, budgets::EXEC))
}

fn measure_memory(_: &Args, peers: &[Box<dyn Peer>]) -> Result<String> {
    let (running, absent) = peers::idle(peers, memory::CONTAINERS);
    let helpers = memory::measure(&running)?;
    Ok(report::absent(&absent) + &report::memory(&helpers))
}
