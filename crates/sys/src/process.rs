//! Facts about processes.

use std::{fs, io};

/// Start time of a process in clock ticks after boot (proc_pid_stat(5), field 22). With the process number it
/// identifies a process for ever: numbers are reused, the pair is not.
///
/// # Errors
/// `NotFound` where no such process exists; `InvalidData` where the kernel's line is not understood.
pub fn start_time(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command name, field 2, stands in parentheses and may contain anything, parentheses too.
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest);
    after_name
        .and_then(|rest| rest.split_ascii_whitespace().nth(19))
        .and_then(|field| field.parse().ok())
        .ok_or_else(|| {
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
