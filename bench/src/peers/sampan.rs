//! Sampan itself.

use super::{Peer, idle_mark, idle_name};
use crate::measure::{Contender, Work};
use crate::programs::{leave_running, output, words};
use crate::scene::{IMAGE, Scene};
use anyhow::Result;

/// Its name in tables.
pub(super) const NAME: &str = "sampan";
const PORT: &str = "18080:80";

struct Sampan {
    /// The program and the folders of an engine of its own.
    engine: Vec<String>,
}

/// Makes an engine with a root on disk and a run directory in memory, as they are in use, and its image.
pub(super) fn open(scene: &Scene) -> Result<Box<dyn Peer>> {
    let root = scene.folder(NAME)?;
    let program = scene.sampan.to_string_lossy();
    let engine = words([&program, "--root", &root.to_string_lossy(), "--run", "/run/sampan-bench"]);
    let sampan = Sampan { engine };
    output(&sampan.call(&["image", "create", IMAGE, "--template", "busybox"]))?;
    Ok(Box::new(sampan))
}

impl Sampan {
    fn call(&self, rest: &[&str]) -> Vec<String> {
        self.engine.iter().cloned().chain(rest.iter().map(|word| (*word).to_owned())).collect()
    }
}

impl Peer for Sampan {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        output(&self.call(&["--version"])).unwrap_or_else(|error| error.to_string())
    }

    fn starts(&self) -> Vec<Contender> {
        let none = self.call(&["run", "--rm", "--network", "none", IMAGE, "true"]);
        let published = self.call(&["run", "--rm", "-p", PORT, IMAGE, "true"]);
        vec![
            Contender { peer: NAME, work: Work::NoNetwork, words: none },
            Contender { peer: NAME, work: Work::Published, words: published },
        ]
    }

    fn idle(&self, number: u32) -> Result<()> {
        let (name, mark) = (idle_name(number), idle_mark(NAME));
        leave_running(&self.call(&["run", "-d", "--name", &name, "--network", "none", IMAGE, "sleep", &mark]))
    }

    fn exec(&self) -> Contender {
        Contender { peer: NAME, work: Work::Exec, words: self.call(&["exec", &idle_name(0), "true"]) }
    }

    fn close(&mut self) -> Result<()> {
        output(&self.call(&["shutdown", "--time", "0"])).map(|_| ())
    }
}
