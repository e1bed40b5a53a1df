//! Reaching containers from the host: HTTP and ssh.

use super::engine::Engine;
use crate::run;
use anyhow::{Context as _, Result, bail, ensure};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a service may take to answer after its container has started.
const PATIENCE: Duration = Duration::from_secs(20);

/// A port that nobody listens on now.
pub(super) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("0.0.0.0:0").context("cannot find a free port")?;
    Ok(listener.local_addr().context("cannot read the address of a socket")?.port())
}

/// The body of the page at `/`, as soon as the server answers.
pub(super) fn page(server: impl ToSocketAddrs + Copy) -> Result<String> {
    let end = Instant::now() + PATIENCE;
    loop {
        match ask(server) {
            Ok(body) => return Ok(body),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn ask(server: impl ToSocketAddrs) -> Result<String> {
    let mut stream = TcpStream::connect(server).context("cannot reach the web server")?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).context("cannot limit the time to wait")?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").context("cannot ask for the page")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("cannot read the page")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    ensure!(head.lines().next().is_some_and(|line| line.contains(" 200 ")), "the server answers: {head}");
    Ok(body.to_owned())
}

/// A key pair, of which the public half is in a system container.
pub(super) struct Login {
    key: PathBuf,
}

impl Login {
    /// Makes the pair and lets root of the container log in with it.
    pub(super) fn prepare(engine: &Engine, container: &str) -> Result<Self> {
        let key = engine.files("ssh")?.join("key");
        if !key.exists() {
            run::stdout(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))?;
        }
        let public = key.with_extension("pub");
        let public =
            std::fs::read_to_string(&public).with_context(|| format!("cannot read {}", public.display()))?;
        let line =
            format!("install -d -m 700 /root/.ssh && echo '{}' > /root/.ssh/authorized_keys", public.trim());
        engine.call(&["exec", container, "sh", "-c", &line])?;
        Ok(Self { key })
    }

    /// Runs a shell line over ssh, as soon as the server answers, and gives its output.
    pub(super) fn run(&self, host: &str, port: u16, line: &str) -> Result<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let output = run::output(
                Command::new("ssh")
                    .args([
                        "-F",
                        "none",
                        "-o",
                        "BatchMode=yes",
                        "-o",
                        "ConnectTimeout=5",
                        "-o",
                        "LogLevel=ERROR",
                    ])
                    .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i"])
                    .arg(&self.key)
                    .args(["-p", &port.to_string(), &format!("root@{host}"), line]),
            )?;
            if output.status.success() {
                return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
            }
            if Instant::now() > end {
                bail!("no login at {host} port {port}: {}", String::from_utf8_lossy(&output.stderr).trim());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
