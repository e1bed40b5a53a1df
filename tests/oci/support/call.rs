//! One call of the runtime, to its end.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sampan_tests::{Lane, Said, lane};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command};

/// The longest that a call may take, in seconds, on a machine that others use as well.
pub(crate) fn patience() -> i64 {
    if lane() == Lane::Vm { 120 } else { 20 }
}

/// Runs a command to its end with its output in the files `out` and `err`: a pipe would stay open for as long as a container that has inherited
/// it. Fails when it takes too long.
#[track_caller]
pub(super) fn ended(mut command: Command, out: &Path, err: &Path) -> Said {
    let file = |path: &Path| File::options().create(true).append(true).open(path).expect("a file for output");
    command.stdout(file(out)).stderr(file(err));
    let words = shown(&command);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run `{words}`: {error}"));
    let ended = wait(&child, patience());
    if !ended {
        let _ = child.kill();
    }
    let status = child.wait().expect("the runtime can be waited for");
    let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let said = Said::from_parts(words, status, read(out), read(err));
    assert!(ended, "not in time ({} s): {said}", patience());
    said
}

/// Waits for a child's end; false when it takes longer than `seconds`.
pub(crate) fn wait(child: &Child, seconds: i64) -> bool {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    // Not waited for yet, so the pid is still its own.
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a descriptor of the process");
    let limit = Timespec { tv_sec: seconds, tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.expect("poll") > 0,
        }
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
