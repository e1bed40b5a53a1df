//! LXC: system containers by a library, each with a monitor process. It publishes no ports.

use super::{Peer, idle_mark, idle_name};
use crate::measure::{Contender, Work};
use crate::programs::{leave_running, output, words};
use crate::scene::Scene;
use anyhow::{Context as _, Result};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

/// Its name in tables.
pub(super) const NAME: &str = "lxc";
const RUN: &str = "bench-run";

struct Lxc {
    /// The folder of all its containers.
    place: PathBuf,
    rootfs: PathBuf,
    started: Cell<u32>,
}

/// Makes the container that runs `true`.
pub(super) fn open(scene: &Scene) -> Result<Box<dyn Peer>> {
    let lxc = Lxc { place: scene.folder(NAME)?, rootfs: scene.rootfs.clone(), started: Cell::new(0) };
    configure(&lxc.place, RUN, &lxc.rootfs, "/bin/true")?;
    Ok(Box::new(lxc))
}

/// Writes the configuration of container `name`: its own namespaces, no network but an empty one, `init` as its first process.
fn configure(place: &Path, name: &str, rootfs: &Path, init: &str) -> Result<()> {
    let folder = place.join(name);
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let text = format!(
        "lxc.rootfs.path = dir:{}\nlxc.uts.name = {name}\nlxc.init.cmd = {init}\nlxc.net.0.type = empty\n\
         lxc.mount.auto = proc:mixed sys:mixed\n",
        rootfs.display()
    );
    let file = folder.join("config");
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

impl Lxc {
    fn call<const N: usize>(&self, program: &str, name: &str, rest: [&str; N]) -> Vec<String> {
        let place = self.place.to_string_lossy();
        [words([program, "--lxcpath", &place, "--name", name]), words(rest)].concat()
    }
}

impl Peer for Lxc {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        output(&words(["lxc-start", "--version"]))
            .map_or_else(|error| error.to_string(), |version| format!("lxc {version}"))
    }

    fn starts(&self) -> Vec<Contender> {
        let words = self.call("lxc-start", RUN, ["--foreground"]);
        vec![Contender { peer: NAME, work: Work::NoNetwork, words }]
    }

    fn idle(&self, number: u32) -> Result<()> {
        let (name, init) = (idle_name(number), format!("/bin/sleep {}", idle_mark(NAME)));
        configure(&self.place, &name, &self.rootfs, &init)?;
        leave_running(&self.call("lxc-start", &name, ["--daemon"]))?;
        self.started.set(self.started.get().max(number + 1));
        Ok(())
    }

    fn exec(&self) -> Contender {
        let words = self.call("lxc-attach", &idle_name(0), ["--", "/bin/true"]);
        Contender { peer: NAME, work: Work::Exec, words }
    }

    fn close(&mut self) -> Result<()> {
        (0..self.started.get())
            .try_for_each(|number| output(&self.call("lxc-stop", &idle_name(number), ["--kill"])).map(|_| ()))
    }
}
