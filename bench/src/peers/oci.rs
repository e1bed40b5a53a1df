//! The bare OCI runtimes crun and runc: a bundle, no image, no log, no record.

use super::{Peer, idle_mark, idle_name};
use crate::measure::{Contender, Work};
use crate::programs::{leave_running, output, words};
use crate::scene::Scene;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

/// One of them with its bundles.
pub(crate) struct Runtime {
    name: &'static str,
    program: String,
    /// The bundle that runs `true`.
    run: PathBuf,
    /// The bundle that sleeps.
    idle: PathBuf,
    started: Cell<u32>,
}

/// How many containers [`Work::Hundred`] runs at once.
const MANY: u32 = 100;

/// Makes the two bundles from the specification that the runtime itself proposes.
pub(crate) fn open(name: &'static str, program: &str, scene: &Scene) -> Result<Runtime> {
    let folder = scene.folder(name)?;
    let idle_words = words(["sleep", &idle_mark(name)]);
    let run = bundle(program, &folder.join("run"), &scene.rootfs, &words(["true"]))?;
    let idle = bundle(program, &folder.join("idle"), &scene.rootfs, &idle_words)?;
    Ok(Runtime { name, program: program.to_owned(), run, idle, started: Cell::new(0) })
}

impl Runtime {
    /// All that a bare runtime is measured by; idle container 0 must run. Where several commands make one work, the same
    /// shell runs them for everybody.
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        let (program, bundle) = (&self.program, self.run.display());
        let cycle = format!(
            "{program} create --bundle {bundle} bench-c && {program} start bench-c && {program} delete --force bench-c"
        );
        let hundred = format!(
            "for n in $(seq {MANY}); do {program} run --bundle {bundle} bench-$n & all=\"$all $!\"; done; \
             for one in $all; do wait $one || exit; done"
        );
        let shell =
            |work, script: &str| Contender { peer: self.name, work, words: words(["sh", "-c", script]) };
        let mut all = self.starts();
        all.extend([shell(Work::Cycle, &cycle), self.exec(), shell(Work::Hundred, &hundred)]);
        all
    }
}

/// Writes a bundle at `place` that runs `args` in `rootfs`, without a terminal.
fn bundle(runtime: &str, place: &Path, rootfs: &Path, args: &[String]) -> Result<PathBuf> {
    fs::create_dir(place).with_context(|| format!("cannot make {}", place.display()))?;
    output(&words([runtime, "spec", "--bundle", &place.to_string_lossy()]))?;
    let file = place.join("config.json");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut spec: Value = serde_json::from_str(&text).with_context(|| format!("cannot parse {text}"))?;
    spec["process"]["args"] = json!(args);
    spec["process"]["terminal"] = json!(false);
    spec["root"] = json!({ "path": rootfs, "readonly": false });
    fs::write(&file, spec.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(place.to_owned())
}

impl Peer for Runtime {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> String {
        let text = output(&words([&self.program, "--version"])).unwrap_or_else(|error| error.to_string());
        text.lines().next().unwrap_or_default().to_owned()
    }

    fn starts(&self) -> Vec<Contender> {
        let bundle = self.run.to_string_lossy();
        let words = words([&self.program, "run", "--bundle", &bundle, "bench-run"]);
        vec![Contender { peer: self.name, work: Work::Bundle, words }]
    }

    fn idle(&self, number: u32) -> Result<()> {
        let (bundle, name) = (self.idle.to_string_lossy(), idle_name(number));
        leave_running(&words([&self.program, "run", "--detach", "--bundle", &bundle, &name]))?;
        self.started.set(self.started.get().max(number + 1));
        Ok(())
    }

    fn exec(&self) -> Contender {
        let words = words([&self.program, "exec", &idle_name(0), "true"]);
        Contender { peer: self.name, work: Work::Exec, words }
    }

    fn close(&mut self) -> Result<()> {
        (0..self.started.get()).try_for_each(|number| {
            output(&words([&self.program, "delete", "--force", &idle_name(number)])).map(|_| ())
        })
    }
}
