//! `cargo xtask demo`: an app container and a system container side by side, from a fresh machine.

mod engine;
mod reach;

use crate::args::Group;
use crate::steps::Steps;
use crate::{artifacts, repo, setup};
use anyhow::{Context as _, Result, bail, ensure};
use engine::Engine;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The app container's image: Debian, and a web server of 2 MB.
const APP: (&str, &[&str]) = ("debian", &["--template", "debian", "--include", "busybox-static"]);

/// The system container's: Debian with an init and services.
const MACHINE: (&str, &[&str]) =
    ("machine", &["--template", "debian", "--include", "systemd-sysv,cron,openssh-server"]);

/// What the web server shows.
const PAGE: &str = "Hello from a Debian app container.\n";

/// How long a Debian may take to boot.
const BOOT: Duration = Duration::from_secs(120);

/// What was seen, for the summary.
#[derive(Default)]
struct Seen(Vec<(&'static str, String)>);

impl Seen {
    fn note(&mut self, what: &'static str, seen: impl Into<String>) {
        self.0.push((what, seen.into()));
    }
}

/// Shows the whole way. Gives 0 if all went well, 1 otherwise; what was made is removed either way, unless `keep`.
pub(crate) fn run(keep: bool) -> Result<u8> {
    let mut steps = Steps::begin();
    let mut seen = Seen::default();
    let shown = show(&mut steps, &mut seen, keep);
    println!("\n{}", steps.summary());
    for (what, seen) in &seen.0 {
        println!("  {what:<26} {seen}");
    }
    match shown {
        Ok(()) => {
            println!("\ndemo: success");
            Ok(0)
        }
        Err(error) => {
            println!("\ndemo: failed: {error:#}");
            Ok(1)
        }
    }
}

fn show(steps: &mut Steps, seen: &mut Seen, keep: bool) -> Result<()> {
    if !crate::run::is_root() {
        bail!("this demonstration makes containers for root: run `cargo xtask demo` as root");
    }
    steps.step("set-up", || setup::run(&[Group::Demo]), |count| format!("{count} packages installed"))?;
    let [sampan, shim] =
        steps.step("build", || artifacts::programs(&["--release"]), |_| "release".to_owned())?;
    for program in [&sampan, &shim] {
        ensure!(artifacts::is_static(program)?, "{} is not static", program.display());
    }
    seen.note("programs", format!("{} ({}, static)", sampan.display(), size(&[&sampan, &shim])?));

    let engine = Engine::new(sampan, repo::cache("demo")?);
    engine.begin()?;
    for (name, words) in [APP, MACHINE] {
        steps.step(
            &format!("image {name}"),
            || engine.image(name, words),
            |made| (if *made { "made" } else { "there from the last time" }).to_owned(),
        )?;
    }
    let shown = containers(steps, seen, &engine);
    if keep {
        println!("demo: everything is left running; `{} ps` shows it", engine.shown());
        return shown;
    }
    let removed = steps.step("remove everything", || engine.remove_all(), |()| "nothing is left".to_owned());
    shown.and(removed)
}

/// The two containers, from their start to their restart.
fn containers(steps: &mut Steps, seen: &mut Seen, engine: &Engine) -> Result<()> {
    let release = steps.step("app container", || app_release(engine), Clone::clone)?;
    seen.note("app container's system", release);

    let ports = [reach::free_port()?, reach::free_port()?];
    let page = engine.files("www")?;
    std::fs::write(page.join("index.html"), PAGE).context("cannot write the page to serve")?;
    steps.step("web server", || start_web(engine, ports[0], &page), |()| format!("-p {}:80", ports[0]))?;
    let got = steps.step("page", || reach::page(("127.0.0.1", ports[0])), |got| got.trim().to_owned())?;
    ensure!(got == PAGE, "the page is not the one served: {got:?}");
    seen.note("page through a port", format!("127.0.0.1:{}: {}", ports[0], got.trim()));

    let launch = || {
        engine.call(&["launch", "-p", &format!("{}:22", ports[1]), "machine", "box"])?;
        engine.until_booted("box", BOOT)
    };
    let state = steps.step("system container", launch, Clone::clone)?;
    seen.note("system container", state);

    let address = engine.address("box")?;
    let login = reach::Login::prepare(engine, "box")?;
    let words = "echo \"$(. /etc/os-release; echo $PRETTY_NAME), cron $(systemctl is-active cron)\"";
    let answer = steps.step("ssh by address", || login.run(&address, 22, words), Clone::clone)?;
    seen.note("ssh by address", format!("{address}: {answer}"));
    let answer = steps.step("ssh by port", || login.run("127.0.0.1", ports[1], "hostname"), Clone::clone)?;
    seen.note("ssh through a port", format!("127.0.0.1:{}: {answer}", ports[1]));

    let table = engine.call(&["ps"])?;
    println!("\n{table}");
    for word in ["app", "system"] {
        ensure!(table.split_whitespace().any(|found| found == word), "`sampan ps` lists no {word} container");
    }
    seen.note(
        "containers side by side",
        format!("{} in `sampan ps`, of both types", table.lines().count() - 1),
    );

    let addresses = [engine.address("web")?, address];
    let restart = || {
        engine.call(&["restart", "web", "box"])?;
        engine.until_booted("box", BOOT)?;
        Ok([engine.address("web")?, engine.address("box")?])
    };
    let after = steps.step("restart", restart, |after| format!("at {}", after.join(" and ")))?;
    ensure!(after == addresses, "the addresses were {addresses:?} before");
    ensure!(reach::page((after[0].as_str(), 80))? == PAGE, "the page is not there after the restart");
    login.run(&after[1], 22, "true").context("no login after the restart")?;
    seen.note("addresses after restart", format!("the same: {}", after.join(", ")));
    Ok(())
}

/// What a Debian app container says it is.
fn app_release(engine: &Engine) -> Result<String> {
    let text = engine.call(&["run", "--rm", "debian", "cat", "/etc/os-release"])?;
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    Ok(name.context("/etc/os-release names no system")?.trim_matches('"').to_owned())
}

fn start_web(engine: &Engine, port: u16, page: &Path) -> Result<()> {
    let volume = format!("{}:/www:ro", page.display());
    let publish = format!("{port}:80");
    let words = ["run", "-d", "--name", "web", "-p", &publish, "-v", &volume, "debian", "busybox", "httpd"];
    engine.call(&[&words[..], &["-f", "-h", "/www"]].concat())?;
    Ok(())
}

/// The size of files together, in megabytes.
fn size(files: &[&PathBuf]) -> Result<String> {
    let mut bytes = 0;
    for file in files {
        bytes += std::fs::metadata(file).with_context(|| format!("cannot look at {}", file.display()))?.len();
    }
    Ok(format!("{:.1} MB together", bytes as f64 / 1e6))
}
