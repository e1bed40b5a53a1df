//! Podman: an engine without a daemon; each container has a conmon beside it.

use super::{Peer, idle_mark, idle_name};
use crate::measure::{Contender, Work};
use crate::programs::{leave_running, output, words};
use crate::scene::{IMAGE, Scene};
use anyhow::Result;

/// Its name in tables.
pub(super) const NAME: &str = "podman";
const PORT: &str = "18081:80";
/// Podman's defaults are above what a host without systemd may allow.
const LIMITS: [&str; 4] = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"];

struct Podman {
    engine: Vec<String>,
}

/// Makes a store on disk, state in memory, crun as the runtime, and imports the root file system.
pub(super) fn open(scene: &Scene) -> Result<Box<dyn Peer>> {
    let root = scene.folder(NAME)?;
    let engine = words([
        NAME,
        "--root",
        &root.to_string_lossy(),
        "--runroot",
        "/run/podman-bench",
        "--runtime",
        "crun",
        "--cgroup-manager",
        "cgroupfs",
    ]);
    let podman = Podman { engine };
    output(&podman.call(&[&["import", &scene.archive.to_string_lossy(), IMAGE]]))?;
    Ok(Box::new(podman))
}

impl Podman {
    fn call(&self, rest: &[&[&str]]) -> Vec<String> {
        self.engine.iter().cloned().chain(rest.concat().into_iter().map(str::to_owned)).collect()
    }
}

impl Peer for Podman {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        output(&words([NAME, "--version"])).unwrap_or_else(|error| error.to_string())
    }

    fn starts(&self) -> Vec<Contender> {
        let run = |network: &[&str]| self.call(&[&["run", "--rm"], network, &LIMITS, &[IMAGE, "true"]]);
        vec![
            Contender { peer: NAME, work: Work::NoNetwork, words: run(&["--network", "none"]) },
            Contender { peer: NAME, work: Work::Published, words: run(&["-p", PORT]) },
        ]
    }

    fn idle(&self, number: u32) -> Result<()> {
        let (name, mark) = (idle_name(number), idle_mark(NAME));
        let begin = ["run", "-d", "--name", &name, "--network", "none"];
        leave_running(&self.call(&[&begin, &LIMITS, &[IMAGE, "sleep", &mark]]))
    }

    fn exec(&self) -> Contender {
        let words = self.call(&[&["exec", &idle_name(0), "true"]]);
        Contender { peer: NAME, work: Work::Exec, words }
    }

    fn close(&mut self) -> Result<()> {
        output(&self.call(&[&["rm", "--all", "--force", "--time", "0"]])).map(|_| ())
    }
}
