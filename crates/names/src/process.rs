//! The process: one at a time, started when needed.

use crate::serve;
use rustix::{
    fs::{FlockOperation, fcntl_lock},
    io::Errno,
    process::{Flock, FlockType, Pid, Signal, fcntl_getlk, kill_process},
};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The file whose lock the serving process holds. It is a record lock (fcntl(2)): the kernel says which process has it, children do not
/// inherit it, and it ends with the process, however that ends.
const LOCK_FILE: &str = "lock";

/// How long a process that is told to end may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Starts the process unless it runs; does not wait for it. `argv` is the program and arguments that call [`run`].
/// To be called after publishing: the process ends only when it has seen, with its lock given back, that nothing is
/// published.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for an empty `argv`; those of making the directory and starting a program.
pub fn ensure_running(dir: &Path, argv: &[String]) -> Result<()> {
    fs::create_dir_all(dir).map_err(|error| Error::io(format!("cannot make {}", dir.display()), error))?;
    if holder(dir, &open_lock(dir)?)?.is_some() {
        return Ok(());
    }
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
/// process serves them, and where there is none to serve: what it was started for is over. The caller has only one thread.
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
        match fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN | Errno::ACCESS) => return Ok(()),
            Err(errno) => return Err(Error::io(cannot_lock(dir), errno.into())),
            Ok(()) => {}
        }
        if serve::has_endpoints(dir)? {
            runtime.block_on(serve::until_idle(dir))?;
        }
        drop(lock);
        // What was published after the last look and before the lock was given back found the lock held.
        if !serve::has_endpoints(dir)? {
            return Ok(());
        }
    }
}

/// Ends the process, if it runs, and waits until it is gone, so that the next one is not taken for it: its networks are gone, and
/// nobody is to wait until it sees that by itself.
///
/// # Errors
/// Those of reading the lock and of kill(2); [`ErrorKind::Unavailable`] where it does not end.
pub fn stop(dir: &Path) -> Result<()> {
    let Ok(lock) = File::open(dir.join(LOCK_FILE)) else { return Ok(()) };
    let Some(pid) = holder(dir, &lock)? else { return Ok(()) };
    match kill_process(pid, Signal::TERM) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(Error::io(format!("cannot end the names process {pid:?}"), errno.into())),
    }
    let start = Instant::now();
    while holder(dir, &lock)? == Some(pid) {
        if start.elapsed() > PATIENCE {
            return Err(Error::new(ErrorKind::Unavailable, format!("cannot end the names process {pid:?}"))
                .because(format!("it is still there after {} seconds", PATIENCE.as_secs())));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// The process that serves.
fn holder(dir: &Path, lock: &File) -> Result<Option<Pid>> {
    fcntl_getlk(lock, &Flock::from(FlockType::WriteLock))
        .map(|held| held.and_then(|lock| lock.pid))
        .map_err(|errno| Error::io(cannot_lock(dir), errno.into()))
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
