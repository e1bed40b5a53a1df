//! From a bundle to a container at its *created* point, with its state on disk: what `create` and `run` share.

use super::{
    call::Call,
    kept::Kept,
    notify,
    outlet::Outlets,
    passed::Passed,
    place::{CONFIG, Place, STATE},
    tell,
    terminal::Terminal,
    words::{Flag, Kind, Words},
};
use crate::json_log::timestamp;
use rustix::fd::OwnedFd;
use sampan_runtime::{Bundle, Container, Options, Rootfs, Stdio, cgroup::CgroupDriver};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{Process, Spec},
};
use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

pub(super) const BUNDLE: Flag =
    Flag::text("bundle", "directory of the bundle; the working directory where not given").short("b");
pub(super) const CONSOLE_SOCKET: Flag =
    Flag::text("console-socket", "Unix socket that is sent the master of the terminal");
pub(super) const PIDFD_SOCKET: Flag =
    Flag::text("pidfd-socket", "Unix socket that is sent a pidfd of the new process");
pub(super) const PID_FILE: Flag = Flag::text("pid-file", "file to write the number of the new process to");
pub(super) const NO_PIVOT: Flag =
    Flag::switch("no-pivot", "leave the old root without pivot_root, for roots on a ramdisk");
pub(super) const NO_NEW_KEYRING: Flag =
    Flag::switch("no-new-keyring", "share the caller's session keyring with the container");
pub(super) const PRESERVE_FDS: Flag = Flag::new(
    Kind::Integer,
    "preserve-fds",
    "pass on so many descriptors more than the standard streams and those of $LISTEN_FDS",
)
.default("0");
pub(super) const DETACH: Flag = Flag::switch("detach", "do not stay with the new process").short("d");

/// How the container will live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Another command starts it.
    Waiting,
    /// It is started at once and left alone.
    Detached,
    /// This process stays with it.
    Attended,
}

/// A container that has been made.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) place: Place,
    pub(super) container: Container,
    /// The master of its terminal, where nobody else has it.
    pub(super) console: Option<OwnedFd>,
}

/// Makes the container that the words ask for. What fails is undone.
pub(super) fn launch(call: &Call, words: &Words, life: Life) -> Result<Launched> {
    launch_by(call, words, life, |_, bundle, stdio, options| {
        sampan_runtime::create(bundle, stdio, options).map_err(not_started)
    })
}

/// The same, however it is made.
pub(super) fn launch_by(
    call: &Call,
    words: &Words,
    life: Life,
    by: impl FnOnce(&Place, Bundle<'_>, Stdio, Options) -> Result<Container>,
) -> Result<Launched> {
    let passed = Passed::read(words)?;
    let (text, mut spec, outlets, bundle) = read_bundle(words, life)?;
    if let Some(process) = &mut spec.process {
        process.env.extend(passed.environment());
    }
    let place = Place::make(&call.root, words.id())?;
    let made = place
        .write(CONFIG, &text)
        .and_then(|()| notify::prepare(&place, &mut spec))
        .and_then(|()| {
            let (bundle, stdio, options) = parts(call, words, &spec, &bundle, &place, passed, life);
            by(&place, bundle, stdio, options)
        })
        .inspect(|container| container.warnings().iter().for_each(|warning| call.log.warning(warning)))
        .and_then(|container| hand_over(container, &outlets, &place, bundle));
    match made {
        Ok((container, console)) => Ok(Launched { place, container, console }),
        Err(error) => {
            // The first failure is the one to tell.
            let _ = place.remove();
            Err(error)
        }
    }
}

/// Reads the bundle, and makes its directory the working directory: relative paths of the specification start there.
fn read_bundle(words: &Words, life: Life) -> Result<(Vec<u8>, Spec, Outlets, PathBuf)> {
    let given = words.text("bundle").unwrap_or(".");
    let path = Path::new(given).join("config.json");
    let missing = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound if !Path::new(given).is_dir() => {
            Error::io(format!("chdir {given}"), error)
        }
        std::io::ErrorKind::NotFound => {
            Error::new(ErrorKind::NotFound, "JSON specification file config.json not found")
        }
        _ => Error::io(format!("open {}", path.display()), error),
    };
    let text = std::fs::read(&path).map_err(missing)?;
    let spec: Spec = serde_json::from_slice(&text).map_err(|error| {
        Error::new(ErrorKind::InvalidInput, format!("cannot read {}", path.display())).because(error)
    })?;
    let Some(process) = &spec.process else {
        return Err(Error::new(ErrorKind::InvalidInput, "process property must not be empty"));
    };
    check_process(process)?;
    // Their paths start where the caller is, so before that changes.
    let outlets = Outlets::open(words, process.terminal, life != Life::Attended)?;
    if words.has("bundle") {
        rustix::process::chdir(given).map_err(|errno| Error::io(format!("chdir {given}"), errno.into()))?;
    }
    let bundle = std::env::current_dir().map_err(|error| Error::io("find the bundle's directory", error))?;
    Ok((text, spec, outlets, bundle))
}

/// What a container is made from.
fn parts<'a>(
    call: &Call,
    words: &'a Words,
    spec: &'a Spec,
    bundle: &'a Path,
    place: &Place,
    passed: Passed,
    life: Life,
) -> (Bundle<'a>, Stdio, Options) {
    let stdio = match &spec.process {
        Some(process) if process.terminal => {
            // One that is shown on the caller's terminal has its size, before the program can ask for it.
            let shown = if life == Life::Attended { Terminal::callers_size() } else { None };
            Stdio::Console { size: shown.or(process.console_size) }
        }
        _ => Stdio::Inherit,
    };
    let options = Options {
        gate: (life == Life::Waiting).then(|| place.path("gate")),
        no_pivot: words.switch("no-pivot"),
        no_new_keyring: words.switch("no-new-keyring"),
        preserve_fds: passed.count,
        cgroup: if call.systemd { CgroupDriver::Systemd } else { CgroupDriver::Fs },
        rootless: call.rootless,
        ..Options::default()
    };
    (Bundle { id: words.id(), spec, path: bundle, rootfs: Rootfs::Spec }, stdio, options)
}

/// Writes down what later commands need, then tells the caller.
fn hand_over(
    mut container: Container,
    outlets: &Outlets,
    place: &Place,
    bundle: PathBuf,
) -> Result<(Container, Option<OwnedFd>)> {
    let told = outlets.console(container.take_console()).and_then(|console| {
        let kept = Kept { bundle, created: now(), record: container.record() };
        let bytes = serde_json::to_vec(&kept)
            .map_err(|error| Error::new(ErrorKind::Internal, "cannot write the state").because(error))?;
        place.replace(STATE, &bytes)?;
        if let Some(pidfd) = container.pidfd() {
            outlets.process(container.pid(), pidfd)?;
        }
        Ok(console)
    });
    match told {
        Ok(console) => Ok((container, console)),
        Err(error) => {
            // The first failure is the one to tell.
            let _ = container.delete();
            Err(error)
        }
    }
}

/// What every process must have, in the sentences that callers know.
pub(super) fn check_process(process: &Process) -> Result<()> {
    let wrong = match process.cwd.as_str() {
        "" => "Cwd property must not be empty",
        cwd if !cwd.starts_with('/') => "Cwd must be an absolute path",
        _ if process.args.is_empty() => "args must not be empty",
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::InvalidInput, wrong))
}

/// In callers' words, a failure on the way to a process. What the specification itself has wrong is told as it is.
pub(super) fn not_started(error: Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidInput => error,
        kind => Error::new(kind, format!("unable to start container process: {}", tell::sentence(&error))),
    }
}

fn now() -> String {
    let mut bytes = Vec::with_capacity(30);
    timestamp::append(&mut bytes, SystemTime::now());
    String::from_utf8(bytes).unwrap_or_default()
}
