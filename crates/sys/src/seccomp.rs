//! Loading system call filters (seccomp(2)).

use crate::check;
use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
};

/// One instruction of classic BPF (`struct sock_filter`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// How many instructions to skip when a comparison holds.
    pub jump_true: u8,
    /// How many to skip when it does not.
    pub jump_false: u8,
    /// Its constant.
    pub value: u32,
}

/// The most instructions of one filter (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// Flags of [`load`] (`SECCOMP_FILTER_FLAG_…`).
pub mod flag {
    /// All threads of the process get it.
    pub const TSYNC: u32 = libc::SECCOMP_FILTER_FLAG_TSYNC as u32;
    /// What it refuses is logged.
    pub const LOG: u32 = libc::SECCOMP_FILTER_FLAG_LOG as u32;
    /// Speculative store bypass stays as it is.
    pub const SPEC_ALLOW: u32 = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32;
    /// A descriptor is given back on which another process answers.
    pub const NEW_LISTENER: u32 = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32;
    /// While the other process answers, only deadly signals interrupt the call (Linux 5.19).
    pub const WAIT_KILLABLE_RECV: u32 = 1 << 5;
}

/// Adds a filter to the calling thread, for good; its children and programs inherit it. With
/// [`flag::NEW_LISTENER`], the descriptor to answer on is given back.
///
/// # Errors
/// `EACCES` without `no_new_privs` or `CAP_SYS_ADMIN`; `EINVAL` for a program the kernel does not accept.
pub fn load(program: &[Instruction], flags: u32) -> io::Result<Option<OwnedFd>> {
    let length = u16::try_from(program.len()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, "a filter of more than 65535 instructions")
    })?;
    let header = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `Instruction` has the layout of sock_filter; the header gives the true length of a slice that
    // outlives the call; the kernel copies the program and writes to none of it.
    let given = check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const header)
    })?;
    if flags & flag::NEW_LISTENER == 0 {
        return Ok(None);
    }
    // SAFETY: with NEW_LISTENER the call gives a new descriptor that nobody else owns.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(given as i32) }))
}
