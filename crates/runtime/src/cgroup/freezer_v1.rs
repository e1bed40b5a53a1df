//! Version 1's freezer (kernel: admin-guide/cgroup-v1/freezer-subsystem.rst).

use super::files;
use rustix::io::Errno;
use sampan_types::{Error, ErrorKind, Result};
use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How long a container that is to be paused may take.
pub(super) const LONG: Duration = Duration::from_secs(2);
/// How long one that is to be killed anyway may take.
pub(super) const SHORT: Duration = Duration::from_millis(100);

/// How many looks at a group that is still stopping before it is let go for a moment: a process that was forked or moved in
/// while the others stopped, or that waits for one that has stopped, keeps it so for ever.
const LOOKS: u32 = 25;

/// Stops all; where that does not come about in time, all go on again.
pub(super) fn freeze(directory: &Path, patience: Duration) -> Result<()> {
    let begun = Instant::now();
    let mut looks = 0u32;
    put(directory, "FROZEN")?;
    loop {
        if files::value(&directory.join("freezer.state"))?.as_deref() == Some("FROZEN") {
            return Ok(());
        }
        if begun.elapsed() > patience {
            break;
        }
        looks += 1;
        if looks.is_multiple_of(LOOKS) {
            put(directory, "THAWED")?;
            thread::sleep(Duration::from_micros(10));
        }
        thread::sleep(Duration::from_micros(if looks < 10 { 50 } else { 1000 }));
        // Again: processes that were forked meanwhile are caught by that.
        put(directory, "FROZEN")?;
    }
    put(directory, "THAWED")?;
    Err(Error::new(ErrorKind::Internal, format!("cannot pause {}", directory.display()))
        .because(format!("processes did not stop within {} ms", patience.as_millis())))
}

/// Lets all go on. A group that is gone has nobody to stop.
pub(super) fn thaw(directory: &Path) -> Result<()> {
    match put(directory, "THAWED") {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Whether it has stopped, or is about to.
pub(super) fn is_frozen(directory: &Path) -> Result<bool> {
    Ok(files::value(&directory.join("freezer.state"))?.is_some_and(|state| state != "THAWED"))
}

fn put(directory: &Path, state: &str) -> Result<()> {
    files::put(&directory.join("freezer.state"), state).map_err(|errno| match errno {
        Errno::NOENT | Errno::NODEV => Error::new(ErrorKind::NotFound, "cannot pause or resume")
            .because(format!("the control group {} is gone", directory.display())),
        errno => {
            Error::io(format!("cannot write {state} to {}/freezer.state", directory.display()), errno.into())
        }
    })
}
