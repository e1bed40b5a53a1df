//! The demonstration's own engine: `sampan` with a root and a run directory apart from everything else.

use crate::{images, run};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Gone at boot, like every run directory.
const RUN: &str = "/run/sampan-demo";

pub(super) struct Engine {
    sampan: PathBuf,
    folder: PathBuf,
}

impl Engine {
    /// An engine whose root lies in `folder`.
    pub(super) fn new(sampan: PathBuf, folder: PathBuf) -> Self {
        Self { sampan, folder }
    }

    /// Removes what an interrupted demonstration left, and images of an older format.
    pub(super) fn begin(&self) -> Result<()> {
        let mark = self.folder.join("key");
        let key = images::key()?;
        if std::fs::read_to_string(&mark).is_ok_and(|made_with| made_with == key) {
            return self.remove_all();
        }
        let root = self.root();
        if root.exists() {
            std::fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
        }
        std::fs::write(&mark, key).with_context(|| format!("cannot write {}", mark.display()))
    }

    fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.sampan);
        command.arg("--root").arg(self.root()).args(["--run", RUN]);
        command
    }

    /// The words before the verb, for a person to type.
    pub(super) fn shown(&self) -> String {
        run::shown(&self.command())
    }

    /// Runs `sampan` with these words, showing them without the engine's folders, and gives its output.
    pub(super) fn call(&self, words: &[&str]) -> Result<String> {
        println!("    $ sampan {}", words.join(" "));
        self.quietly(words)
    }

    fn quietly(&self, words: &[&str]) -> Result<String> {
        run::stdout(self.command().args(words))
    }

    /// A folder for files of the demonstration.
    pub(super) fn files(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// Makes an image unless it is there; its progress is shown. Gives whether it was made.
    pub(super) fn image(&self, name: &str, words: &[&str]) -> Result<bool> {
        let listed = self.quietly(&["images"])?;
        if listed.lines().any(|line| line.split_whitespace().next() == Some(name)) {
            return Ok(false);
        }
        println!("    $ sampan image create {name} {}", words.join(" "));
        run::status(self.command().args(["image", "create", name]).args(words))?;
        Ok(true)
    }

    /// The container's IPv4 address.
    pub(super) fn address(&self, name: &str) -> Result<String> {
        let text = self.quietly(&["inspect", name])?;
        let details: Value = serde_json::from_str(&text).context("cannot read what `sampan inspect` says")?;
        let address = details[0]["NetworkSettings"]["IPAddress"].as_str().unwrap_or_default();
        ensure!(!address.is_empty(), "container {name} has no address");
        Ok(address.to_owned())
    }

    /// Waits until systemd has started all it could. Gives `running`, or `degraded` with the units that failed.
    pub(super) fn until_booted(&self, name: &str, patience: Duration) -> Result<String> {
        let end = Instant::now() + patience;
        loop {
            let mut ask = self.command();
            let said = run::output(ask.args(["exec", name, "systemctl", "is-system-running"]))?;
            let state = String::from_utf8_lossy(&said.stdout).trim().to_owned();
            match state.as_str() {
                "running" => return Ok(state),
                "degraded" => {
                    let units =
                        ["exec", name, "systemctl", "list-units", "--failed", "--plain", "--no-legend"];
                    let listed = self.quietly(&units)?;
                    let failed: Vec<&str> =
                        listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
                    return Ok(format!("degraded (failed: {})", failed.join(", ")));
                }
                _ => {}
            }
            let error = String::from_utf8_lossy(&said.stderr).trim().to_owned();
            ensure!(
                Instant::now() < end,
                "{name} has not booted within {} s: systemd says `{state}` {error}",
                patience.as_secs()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Removes every container and what the engine keeps on the host; fails if something is left.
    pub(super) fn remove_all(&self) -> Result<()> {
        let ids = self.quietly(&["ps", "-aq"])?;
        let ids: Vec<&str> = ids.split_whitespace().collect();
        if !ids.is_empty() {
            self.quietly(&[&["rm", "-f"], ids.as_slice()].concat())?;
        }
        self.quietly(&["shutdown"])?;
        ensure!(self.quietly(&["ps", "-aq"])?.is_empty(), "containers are left");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
        let ours = |line: &&str| line.contains(RUN) || line.contains(&*self.root().to_string_lossy());
        let left: Vec<&str> = mounts.lines().filter(ours).collect();
        ensure!(left.is_empty(), "mounts are left: {left:?}");
        let bundles = Path::new(RUN).join("containers");
        ensure!(
            std::fs::read_dir(bundles).into_iter().flatten().next().is_none(),
            "bundles are left in {RUN}"
        );
        Ok(())
    }
}
