//! Files and directories of control groups.

use crate::error::Cannot;
use rustix::{
    fs::{Gid, Mode, OFlags, Uid},
    io::Errno,
    process::{Pid, Signal},
};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// How long a group whose processes are dead may stay busy: the kernel takes them out of it when they are reaped.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes a value in one go.
pub(crate) fn put(path: &Path, value: &str) -> std::result::Result<(), Errno> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, value.as_bytes()).map(drop)
}

/// As [`put`], with the failure told.
pub(crate) fn write(directory: &Path, file: &str, value: &str) -> Result<()> {
    let path = directory.join(file);
    put(&path, value).cannot(|| format!("write {value:?} to {}", path.display()))
}

/// Writes several values to one file, each for itself.
pub(crate) fn write_lines<'a>(path: &Path, lines: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return Ok(());
    }
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .cannot(|| format!("open {}", path.display()))?;
    for line in lines {
        rustix::io::write(&file, line.as_bytes())
            .cannot(|| format!("write {line:?} to {}", path.display()))?;
    }
    Ok(())
}

/// Refers to a group's directory.
pub(crate) fn open(directory: &Path) -> Result<OwnedFd> {
    rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .cannot(|| format!("open {}", directory.display()))
}

/// Reads a value without the line's end.
pub(crate) fn read(directory: &Path, file: &str) -> Result<String> {
    let path = directory.join(file);
    let text = fs::read_to_string(&path).cannot(|| format!("read {}", path.display()))?;
    Ok(text.trim_end().to_owned())
}

/// Reads a file of a single value, which the kernel gives in one piece, without the line's end; `None` where there is none.
pub(crate) fn value(path: &Path) -> Result<Option<String>> {
    let file = match rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        file => file.cannot(|| format!("open {}", path.display()))?,
    };
    let mut space = [0; 4096];
    match rustix::io::read(&file, &mut space) {
        // Removed meanwhile.
        Err(Errno::NODEV) => Ok(None),
        count => {
            let count = count.cannot(|| format!("read {}", path.display()))?;
            Ok(Some(String::from_utf8_lossy(&space[..count]).trim_end().to_owned()))
        }
    }
}

/// Reads a file that this kernel or this group may lack.
pub(crate) fn read_present(directory: &Path, file: &str) -> Option<String> {
    fs::read_to_string(directory.join(file)).ok()
}

/// The number behind a word at the start of a line of `text`.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Makes a group's directory and those above it; gives the ones that were missing, the topmost first.
pub(crate) fn make(directory: &Path) -> Result<Vec<PathBuf>> {
    match rustix::fs::mkdir(directory, Mode::from_raw_mode(0o755)) {
        Ok(()) => Ok(vec![directory.to_path_buf()]),
        Err(Errno::EXIST) => Ok(Vec::new()),
        Err(Errno::NOENT) => {
            let parent = directory.parent().ok_or(io::ErrorKind::NotFound);
            let mut made = make(parent.cannot(|| "make a control group".into())?)?;
            made.extend(make(directory)?);
            Ok(made)
        }
        Err(errno) => Err(errno).cannot(|| format!("make the control group {}", directory.display())),
    }
}

/// Removes a group and those below it. Absent is fine.
pub(crate) fn remove(directory: &Path) -> Result<()> {
    let mut waited = Duration::ZERO;
    let mut pause = Duration::from_micros(200);
    loop {
        match rustix::fs::rmdir(directory) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // One that somebody with more rights has lent.
            Err(Errno::ACCESS | Errno::PERM) if super::unprivileged() => return Ok(()),
            Err(Errno::BUSY) if waited < PATIENCE => {
                below(directory)?.iter().try_for_each(|group| remove(group))?;
                thread::sleep(pause);
                waited += pause;
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err(Errno::BUSY) => {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("cannot remove {}", directory.display()),
                )
                .because(format!("processes {:?} are still in it", pids(directory)?)));
            }
            Err(errno) => {
                return Err(errno).cannot(|| format!("remove the control group {}", directory.display()));
            }
        }
    }
}

/// The groups right below one.
pub(crate) fn below(directory: &Path) -> Result<Vec<PathBuf>> {
    // Each group below is one more link, beside the name and the dot.
    if rustix::fs::stat(directory).is_ok_and(|stat| stat.st_nlink == 2) {
        return Ok(Vec::new());
    }
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.cannot(|| format!("list {}", directory.display()))?,
    };
    let mut groups = Vec::new();
    for entry in entries {
        let entry = entry.cannot(|| format!("list {}", directory.display()))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            groups.push(entry.path());
        }
    }
    Ok(groups)
}

/// The processes in a group and below it.
pub(crate) fn pids(directory: &Path) -> Result<Vec<i32>> {
    let path = directory.join("cgroup.procs");
    let text = match fs::read_to_string(&path) {
        // Gone, or a version 2 group whose threads are shared out: those below have them.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => String::new(),
        // It was removed while it was read.
        Err(error) if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => return Ok(Vec::new()),
        text => text.cannot(|| format!("read {}", path.display()))?,
    };
    let mut pids: Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for group in below(directory)? {
        pids.extend(self::pids(&group)?);
    }
    Ok(pids)
}

/// Sends `SIGKILL` to every process in a group and below it until none is left alive, so that what is forked meanwhile dies too.
pub(crate) fn kill(directory: &Path) -> Result<()> {
    let mut before = Vec::new();
    for _ in 0..100 {
        let pids = pids(directory)?;
        // Those that are dead but not reaped stay listed.
        if pids.is_empty() || pids == before {
            return Ok(());
        }
        for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            match rustix::process::kill_process(pid, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => return Err(errno).cannot(|| format!("kill process {pid:?}")),
            }
        }
        before = pids;
    }
    Err(Error::new(ErrorKind::Internal, format!("cannot kill the processes of {}", directory.display()))
        .because("new ones keep appearing"))
}

/// Gives a group's directory and some of its files to another user. Files that this kernel lacks are passed over.
pub(crate) fn give(directory: &Path, files: &[&str], uid: u32, gid: u32) -> Result<()> {
    let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::chown(directory, owner.0, owner.1).cannot(|| format!("give {} away", directory.display()))?;
    for file in files {
        let path = directory.join(file);
        match rustix::fs::chown(&path, owner.0, owner.1) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).cannot(|| format!("give {} away", path.display())),
        }
    }
    Ok(())
}
