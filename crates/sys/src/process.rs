//! Facts about processes.

use std::{fs, io};

/// Start time of a process in clock ticks after boot (proc_pid_stat(5), field 22). With the process number it
/// identifies a process for ever: numbers are reused, the pair is not.
///
/// # Errors
/// `NotFound` where no such process exists; `InvalidData` where the kernel's line is not understood.
pub fn start_time(pid: i32) -> io::Result<u64> {
    fields(pid).map(|(_, start)| start)
}

/// Whether exactly this process runs: neither a later one with its number, nor what is left of one that has ended and
/// that nobody has waited for yet.
pub fn is_running(pid: i32, start_time: u64) -> bool {
    fields(pid).is_ok_and(|(state, start)| start == start_time && !matches!(state, 'Z' | 'X'))
}

/// State and start time of a process.
fn fields(pid: i32) -> io::Result<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command name, field 2, stands in parentheses and may contain anything, parentheses too.
    let parse = |rest: &str| {
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        Some((state, fields.nth(18)?.parse().ok()?))
    };
    stat.rsplit_once(')').and_then(|(_, rest)| parse(rest)).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not understood"))
    })
}

/// Number of threads of the calling process: `/proc/self/task` has a link for each beside its own two.
///
/// # Errors
/// Where `/proc` is not mounted.
pub fn thread_count() -> io::Result<u64> {
    Ok(rustix::fs::stat("/proc/self/task")?.st_nlink.saturating_sub(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_younger_and_a_missing_process_is_not_found() {
        let own = start_time(std::process::id() as i32).unwrap();
        assert!(own > 0);
        assert_eq!(start_time(i32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_has_ended_does_not_run_though_nobody_has_waited() {
        let own = std::process::id() as i32;
        assert!(is_running(own, start_time(own).unwrap()) && !is_running(own, 1));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        let start = start_time(pid).unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while is_running(pid, start) {
            assert!(std::time::Instant::now() < end, "a zombie is taken for a process");
        }
        assert!(start_time(pid).is_ok(), "it is still there to be waited for");
        child.wait().unwrap();
    }

    #[test]
    fn threads_are_counted() {
        let before = thread_count().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || receiver.recv());
        let during = thread_count().unwrap();
        drop(sender);
        thread.join().unwrap().unwrap_err();
        assert!(before >= 1 && during > 1, "{before} {during}");
    }
}
