//! Docker: a daemon of the run's own, with its containerd and a shim for each container.

use super::{Peer, idle_mark, idle_name};
use crate::measure::{Contender, Work};
use crate::programs::{leave_running, output};
use crate::scene::{IMAGE, Scene};
use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Its name in tables.
pub(super) const NAME: &str = "docker";
const PORT: &str = "18082:80";
const SOCKET: &str = "unix:///run/docker-bench/docker.sock";
/// How long the daemon may take to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

struct Docker {
    daemon: Child,
    log: PathBuf,
}

/// Starts a daemon with its data on disk and its state in memory, and imports the root file system.
pub(super) fn open(scene: &Scene) -> Result<Box<dyn Peer>> {
    let folder = scene.folder(NAME)?;
    fs::create_dir("/run/docker-bench").context("cannot make /run/docker-bench")?;
    let log = folder.join("log");
    let errors = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
    let daemon = Command::new("dockerd")
        .arg("--data-root")
        .arg(folder.join("data"))
        .args(["--exec-root", "/run/docker-bench/exec", "--pidfile", "/run/docker-bench/pid", "-H", SOCKET])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()
        .context("cannot run dockerd")?;
    let mut docker = Docker { daemon, log };
    let ready = docker
        .wait_until_it_answers()
        .and_then(|()| output(&call(&["import", &scene.archive.to_string_lossy(), IMAGE])));
    if let Err(error) = ready {
        return Err(match docker.end() {
            Ok(()) => error,
            Err(second) => error.context(second),
        });
    }
    Ok(Box::new(docker))
}

impl Docker {
    fn wait_until_it_answers(&mut self) -> Result<()> {
        let begin = Instant::now();
        while output(&call(&["version"])).is_err() {
            let ended = self.daemon.try_wait().context("cannot wait for dockerd")?;
            if ended.is_some() || begin.elapsed() > PATIENCE {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("dockerd does not answer: {}", log.lines().last().unwrap_or("it wrote no log"));
            }
            sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Asks the daemon to end, which ends its containerd too, and waits; kills it when it takes too long.
    fn end(&mut self) -> Result<()> {
        let begin = Instant::now();
        kill_process(Pid::from_child(&self.daemon), Signal::TERM).context("cannot end dockerd")?;
        while self.daemon.try_wait().context("cannot wait for dockerd")?.is_none() {
            if begin.elapsed() > PATIENCE {
                self.daemon.kill().context("cannot kill dockerd")?;
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

fn call(rest: &[&str]) -> Vec<String> {
    [&[NAME, "-H", SOCKET], rest].concat().into_iter().map(str::to_owned).collect()
}

impl Peer for Docker {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        let format = "docker {{.Client.Version}}, dockerd {{.Server.Version}}";
        output(&call(&["version", "--format", format])).unwrap_or_else(|error| error.to_string())
    }

    fn starts(&self) -> Vec<Contender> {
        let none = call(&["run", "--rm", "--network", "none", IMAGE, "true"]);
        let published = call(&["run", "--rm", "-p", PORT, IMAGE, "true"]);
        vec![
            Contender { peer: NAME, work: Work::NoNetwork, words: none },
            Contender { peer: NAME, work: Work::Published, words: published },
        ]
    }

    fn idle(&self, number: u32) -> Result<()> {
        let (name, mark) = (idle_name(number), idle_mark(NAME));
        leave_running(&call(&["run", "-d", "--name", &name, "--network", "none", IMAGE, "sleep", &mark]))
    }

    fn exec(&self) -> Contender {
        Contender { peer: NAME, work: Work::Exec, words: call(&["exec", &idle_name(0), "true"]) }
    }

    fn daemons(&self) -> Vec<u32> {
        vec![self.daemon.id()]
    }

    fn close(&mut self) -> Result<()> {
        let listed = output(&call(&["ps", "--all", "--quiet"]));
        let removed = listed
            .and_then(|ids| ids.lines().try_for_each(|id| output(&call(&["rm", "--force", id])).map(|_| ())));
        self.end().and(removed)
    }
}
