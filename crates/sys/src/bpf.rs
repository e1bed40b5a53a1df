//! Programs that decide which devices a control group may use (bpf(2), `BPF_PROG_TYPE_CGROUP_DEVICE`, Linux 4.15): what
//! version 2 has in place of the devices controller.

use crate::check;
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

/// One instruction (`struct bpf_insn`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u8,
    /// Destination register in the lower half, source in the upper.
    pub registers: u8,
    /// Offset of a jump or of memory.
    pub offset: i16,
    /// Its constant.
    pub value: i32,
}

// linux/bpf.h: commands, types, flags.
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;
const CGROUP_DEVICE_PROGRAM: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// As many programs of one group as are asked for; the kernel's limit.
const MAX_PROGRAMS: usize = 64;

#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
}

#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

#[repr(C)]
struct Query {
    target: u32,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
}

/// Puts a device program on a version 2 group, whose directory `group` refers to, in place of those it has. For a moment
/// both decide, and what either refuses is refused.
///
/// # Errors
/// `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN`; `EINVAL` for a program the kernel does not accept, or where it was built without
/// this.
pub fn replace_device_program(group: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    let old = attached(group)?;
    let new = load(program)?;
    attach(PROG_ATTACH, group, &new, ALLOW_MULTI)?;
    for id in old {
        attach(PROG_DETACH, group, &by_id(id)?, 0)?;
    }
    Ok(())
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = Load {
        kind: CGROUP_DEVICE_PROGRAM,
        count: program.len() as u32,
        instructions: program.as_ptr().addr() as u64,
        license: c"Apache-2.0".as_ptr().addr() as u64,
    };
    // SAFETY: the attributes give the true length of a slice, and a string, that outlive the call; the kernel reads both.
    let fd = check(unsafe { call(PROG_LOAD, &raw const attributes) })?;
    // SAFETY: the call gave a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn attach(command: libc::c_int, group: BorrowedFd<'_>, program: &OwnedFd, flags: u32) -> io::Result<()> {
    let attributes = Attach {
        target: group.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: CGROUP_DEVICE,
        flags,
    };
    // SAFETY: the attributes hold numbers only.
    check(unsafe { call(command, &raw const attributes) })?;
    Ok(())
}

/// Numbers of the programs on a group itself, not those above it.
fn attached(group: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut ids = [0u32; MAX_PROGRAMS];
    let mut attributes = Query {
        target: group.as_raw_fd() as u32,
        kind: CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr().addr() as u64,
        count: MAX_PROGRAMS as u32,
        padding: 0,
    };
    // SAFETY: the kernel writes at most `count` numbers to an array of that length, and the true count to the attributes.
    check(unsafe { call(PROG_QUERY, (&raw mut attributes).cast_const()) })?;
    Ok(ids.into_iter().take(attributes.count as usize).collect())
}

fn by_id(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: the attributes begin with the number; the rest is optional.
    let fd = check(unsafe { call(PROG_GET_FD_BY_ID, &raw const id) })?;
    // SAFETY: the call gave a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// # Safety
/// `attributes` must be what the command takes, with pointers in it that are valid for the call.
unsafe fn call<T>(command: libc::c_int, attributes: *const T) -> libc::c_long {
    // SAFETY: as the caller promises; the size is that of the attributes.
    unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) }
}
