//! The process: one at a time, started when needed.

use crate::serve;
use sampan_types::{Error, ErrorKind, Result};
use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::Path,
    process::{Command, Stdio},
};

/// The file whose lock the serving process holds.
const LOCK_FILE: &str = "lock";

/// Starts the process unless it runs; does not wait for it. `argv` is the program and arguments that call [`run`].
/// To be called after publishing: the process ends only when it has seen, with its lock given back, that nothing is
/// published.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for an empty `argv`; those of making the directory and starting a program.
pub fn ensure_running(dir: &Path, argv: &[String]) -> Result<()> {
    fs::create_dir_all(dir).map_err(|error| Error::io(format!("cannot make {}", dir.display()), error))?;
    let lock = open_lock(dir)?;
    // Shared: two that look at once do not take each other for the process.
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(Error::io(cannot_lock(dir), error)),
        Ok(()) => {}
    }
    // Given back before the process looks for it; closing alone would leave it to what another thread is just starting.
    lock.unlock().map_err(|error| Error::io(cannot_lock(dir), error))?;
    let [program, arguments @ ..] = argv else {
        return Err(Error::new(ErrorKind::InvalidInput, "cannot start the names process")
            .because("its command line is empty"));
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It leaves this process's session by itself, and is nobody's to wait for.
    command
        .spawn()
        .map(drop)
        .map_err(|error| Error::io(format!("cannot start the names process {program}"), error))
}

/// Serves the networks in `dir` until none of them has had an endpoint for ten seconds. Ends at once where another
/// process serves them. The caller has only one thread.
///
/// # Errors
/// Those of locking and reading the directory, and of starting the asynchronous runtime.
pub fn run(dir: &Path) -> Result<()> {
    // It fails only where this process leads a session already.
    let _ = rustix::process::setsid();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io("cannot start the names process", error))?;
    loop {
        let lock = open_lock(dir)?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(Error::io(cannot_lock(dir), error)),
            Ok(()) => {}
        }
        write_pid(&lock).map_err(|error| Error::io(cannot_lock(dir), error))?;
        runtime.block_on(serve::until_idle(dir))?;
        drop(lock);
        // What was published after the last look and before the lock was given back found the lock held.
        if !serve::has_endpoints(dir)? {
            return Ok(());
        }
    }
}

/// Ends the process, if it runs: its networks are gone, and nobody is to wait until it sees that by itself.
///
/// # Errors
/// Those of reading the lock and of kill(2).
pub fn stop(dir: &Path) -> Result<()> {
    let file = dir.join(LOCK_FILE);
    let Ok(lock) = File::open(&file) else { return Ok(()) };
    if !matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return Ok(());
    }
    // Whoever holds the lock has written its number first.
    let text = fs::read_to_string(&file).map_err(|error| Error::io(cannot_lock(dir), error))?;
    let Some(pid) = text.trim().parse().ok().and_then(rustix::process::Pid::from_raw) else { return Ok(()) };
    match rustix::process::kill_process(pid, rustix::process::Signal::TERM) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(Error::io(format!("cannot end the names process {pid:?}"), errno.into())),
    }
}

fn write_pid(mut lock: &File) -> io::Result<()> {
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())
}

fn open_lock(dir: &Path) -> Result<File> {
    let file = dir.join(LOCK_FILE);
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file)
        .map_err(|error| Error::io(format!("cannot open {}", file.display()), error))
}

fn cannot_lock(dir: &Path) -> String {
    format!("cannot lock {}", dir.join(LOCK_FILE).display())
}
