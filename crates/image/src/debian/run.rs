//! The process of `mmdebstrap`: its archive goes where it is wanted while its messages become progress.

use super::{hooks::Hooks, output::Output};
use sampan_types::{Error, ErrorKind, Progress, Result};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    thread,
};

/// What is asked of it.
pub(super) struct Arguments<'a> {
    pub(super) release: &'a str,
    pub(super) packages: &'a [String],
    /// Lines of a `sources.list`.
    pub(super) sources: &'a [String],
    /// Options of apt, as `Name "value";`.
    pub(super) apt_options: &'a [String],
    pub(super) hooks: &'a Hooks,
}

/// Runs it to its end, and writes the archive to `archive`.
pub(super) fn run(arguments: &Arguments<'_>, archive: &mut dyn Write, progress: &dyn Progress) -> Result<()> {
    let what = format!("cannot make an image of Debian {}", arguments.release);
    let mut child = Running(command(arguments).spawn().map_err(|error| not_started(&what, error))?);
    let (stdout, stderr) = (child.0.stdout.take(), child.0.stderr.take());
    let (Some(mut stdout), Some(stderr)) = (stdout, stderr) else {
        return Err(Error::new(ErrorKind::Internal, what).because("mmdebstrap has no output"));
    };
    let (copied, output) = thread::scope(|scope| {
        let listener = scope.spawn(move || listen(stderr, progress));
        let copied = copy(&mut stdout, archive);
        // Nobody reads any more: where copying failed, mmdebstrap ends at its next write.
        drop(stdout);
        (copied, listener.join())
    });
    let status = child.0.wait().map_err(|error| Error::io(what.as_str(), error))?;
    copied.map_err(|error| Error::io("cannot write the layer", error))?;
    let output = output
        .map_err(|_| Error::new(ErrorKind::Internal, what.as_str()).because("a thread has panicked"))?;
    if status.success() { Ok(()) } else { Err(failed(&what, arguments, status, &output)) }
}

/// Killed and waited for when it goes out of sight unfinished.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where it has been waited for already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(arguments: &Arguments<'_>) -> Command {
    let mut command = Command::new("mmdebstrap");
    command.args(["--variant=minbase", "--format=tar", "--verbose"]);
    if !arguments.packages.is_empty() {
        command.arg(format!("--include={}", arguments.packages.join(",")));
    }
    command.args(arguments.apt_options.iter().map(|option| format!("--aptopt={option}")));
    command.arg(format!("--customize-hook={}", arguments.hooks.script().display()));
    command.args([arguments.release, "-"]).args(arguments.sources);
    // Its messages are read; nobody can answer a question.
    command.env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn copy(from: &mut impl Read, to: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn listen<'a>(stderr: ChildStderr, progress: &'a dyn Progress) -> Output<'a> {
    let mut output = Output::new(progress);
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    // What cannot be read is not worth failing for: the exit status tells the rest.
    while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        output.line(&String::from_utf8_lossy(&line));
        line.clear();
    }
    output
}

fn not_started(what: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::Unsupported, what)
            .because("this machine has no mmdebstrap")
            .hint("apt-get install mmdebstrap"),
        _ => Error::io(what, error),
    }
}

fn failed(what: &str, arguments: &Arguments<'_>, status: ExitStatus, output: &Output<'_>) -> Error {
    let reason = output.reason();
    let error = |kind| Error::new(kind, what).because(format!("mmdebstrap ended with {status}: {reason}"));
    if output.misses_package() {
        return error(ErrorKind::NotFound).hint("check the names after --include with apt-cache search");
    }
    if output.blames_mirror() {
        let first = arguments.sources.first().map_or("", String::as_str);
        return error(ErrorKind::Unavailable)
            .hint(format!("check that this machine's mirror answers and has the release: {first}"));
    }
    if !rustix::process::geteuid().is_root() {
        return error(ErrorKind::PermissionDenied)
            .hint("sudo, or subordinate ids for this user in /etc/subuid");
    }
    error(ErrorKind::Unavailable)
}
