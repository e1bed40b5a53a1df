//! When and where a process runs: scheduling policy (sched(7)), I/O priority, processors, memory nodes.

use crate::check;
use std::io;

/// What sched_setattr(2) sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `SCHED_…`
    pub policy: u32,
    /// `SCHED_FLAG_…`
    pub flags: u64,
    /// -20 to 19.
    pub nice: i32,
    /// 1 to 99, for the real-time policies.
    pub priority: u32,
    /// Nanoseconds, `SCHED_DEADLINE`.
    pub runtime: u64,
    /// Nanoseconds, `SCHED_DEADLINE`.
    pub deadline: u64,
    /// Nanoseconds, `SCHED_DEADLINE`.
    pub period: u64,
}

/// `struct sched_attr` (linux/sched/types.h) in its first version, which every kernel takes.
#[repr(C)]
struct Raw {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Sets how a process is scheduled; 0 stands for the caller.
///
/// # Errors
/// `EPERM` without `CAP_SYS_NICE`, or for `SCHED_DEADLINE` on a part of the processors; `EINVAL` for values that the
/// policy does not take; `EBUSY` where the deadlines cannot be kept.
pub fn set_attributes(pid: i32, attributes: &Attributes) -> io::Result<()> {
    let Attributes { policy, flags, nice, priority, runtime, deadline, period } = *attributes;
    let raw = Raw { size: size_of::<Raw>() as u32, policy, flags, nice, priority, runtime, deadline, period };
    // SAFETY: the structure has the kernel's layout and tells its own size; the kernel only reads it during the call.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const raw, 0) })?;
    Ok(())
}

/// Sets the I/O priority of a process (ioprio_set(2)): class 1 (real time) to 3 (idle), level 0 (first) to 7.
///
/// # Errors
/// `EPERM` for real time without `CAP_SYS_ADMIN` or `CAP_SYS_NICE`; `EINVAL` for numbers that do not exist.
pub fn set_io_priority(pid: i32, class: u16, level: u16) -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    let value = libc::c_int::from(class) << 13 | libc::c_int::from(level);
    // SAFETY: takes numbers, touches no memory of ours.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, pid, value) })?;
    Ok(())
}

/// Binds a process, 0 for the caller, to the processors whose bits are set, lowest first (sched_setaffinity(2)). Bits
/// of processors that the machine or the process's cpuset does not have are passed over.
///
/// # Errors
/// `EINVAL` where no processor is left; `EPERM` for somebody else's process.
pub fn set_processors(pid: i32, mask: &[u64]) -> io::Result<()> {
    // SAFETY: pointer and length describe the slice, which the kernel only reads during the call.
    check(unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, size_of_val(mask), mask.as_ptr()) })?;
    Ok(())
}

/// Sets the calling thread's NUMA memory policy (set_mempolicy(2)), which programs inherit: `MPOL_…` with its flags,
/// and the nodes whose bits are set.
///
/// # Errors
/// `EINVAL` for a mode without the nodes it needs, or with ones that are not there or not allowed.
pub fn set_memory_policy(mode: i32, nodes: &[u64]) -> io::Result<()> {
    // The kernel takes one bit less than it is told.
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    let pointer = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    // SAFETY: the kernel reads as many whole words as hold `bits - 1` bits, which are those of the slice.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn child() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn another_process_is_given_a_policy_a_priority_and_a_processor() {
        let mut child = child();
        let pid = child.id() as i32;
        // SCHED_BATCH
        set_attributes(pid, &Attributes { policy: 3, nice: 7, ..Attributes::default() }).unwrap();
        set_io_priority(pid, 2, 6).unwrap();
        set_processors(pid, &[1]).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
        assert_eq!((fields[16], fields[38]), ("7", "3"), "nice and policy of proc_pid_stat(5)");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
        let refused = set_attributes(pid, &Attributes { policy: 99, ..Attributes::default() });
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(set_io_priority(pid, 4, 0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(set_processors(pid, &[0]).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn memory_policies_are_taken_and_refused() {
        // MPOL_INTERLEAVE on node 0, then the default again: this thread is the test's own.
        set_memory_policy(3, &[1]).unwrap();
        let maps = std::fs::read_to_string("/proc/thread-self/numa_maps").unwrap();
        assert!(maps.lines().any(|line| line.contains("interleave:0")), "{maps}");
        set_memory_policy(0, &[]).unwrap();
        assert_eq!(set_memory_policy(3, &[]).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
