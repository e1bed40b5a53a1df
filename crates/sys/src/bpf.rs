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
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const PROG_QUERY: libc::c_int = 16;
const CGROUP_DEVICE_PROGRAM: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;
const REPLACE: u32 = 4;

/// Length of a program's name (`BPF_OBJ_NAME_LEN`).
const NAME_LENGTH: usize = 16;

/// The name of our programs, by which they are told from others on the same group.
const NAME: [u8; NAME_LENGTH] = *b"sampan_devices\0\0";

/// As many programs of one group as are asked for; the kernel's limit.
const MAX_PROGRAMS: usize = 64;

#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; NAME_LENGTH],
}

#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
}

/// `struct bpf_prog_info` as far as the name.
#[repr(C)]
#[derive(Default)]
struct ProgramFacts {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_length: u32,
    translated_length: u32,
    jited: u64,
    translated: u64,
    load_time: u64,
    uid: u32,
    map_count: u32,
    maps: u64,
    name: [u8; NAME_LENGTH],
}

#[repr(C)]
struct GetFacts {
    program: u32,
    length: u32,
    facts: u64,
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

/// Puts a device program on a version 2 group, whose directory `group` refers to, in place of ours where it has one. Programs
/// of others stay: systemd's, or those of groups above, decide too, and what any of them refuses is refused.
///
/// The change is made at once where the kernel can (`BPF_F_REPLACE`, Linux 5.6); on older ones both decide for a moment.
///
/// # Errors
/// `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN`; `EINVAL` for a program the kernel does not accept, or where it was built without
/// this.
pub fn replace_device_program(group: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    let new = load(program)?;
    let mut ours = Vec::new();
    for id in attached(group)? {
        let program = by_id(id)?;
        if name(&program)? == NAME {
            ours.push(program);
        }
    }
    let Some(old) = ours.pop() else { return attach(PROG_ATTACH, group, &new, ALLOW_MULTI, None) };
    match attach(PROG_ATTACH, group, &new, ALLOW_MULTI | REPLACE, Some(&old)) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            attach(PROG_ATTACH, group, &new, ALLOW_MULTI, None)?;
            attach(PROG_DETACH, group, &old, 0, None)
        }
        result => result,
    }
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = Load {
        kind: CGROUP_DEVICE_PROGRAM,
        count: program.len() as u32,
        instructions: program.as_ptr().addr() as u64,
        license: c"Apache-2.0".as_ptr().addr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: NAME,
    };
    // SAFETY: the attributes give the true length of a slice, and a string, that outlive the call; the kernel reads both.
    let fd = check(unsafe { call(PROG_LOAD, &raw const attributes) })?;
    // SAFETY: the call gave a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn attach(
    command: libc::c_int,
    group: BorrowedFd<'_>,
    program: &OwnedFd,
    flags: u32,
    replaced: Option<&OwnedFd>,
) -> io::Result<()> {
    let attributes = Attach {
        target: group.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: CGROUP_DEVICE,
        flags,
        replaced: replaced.map_or(0, |program| program.as_raw_fd() as u32),
    };
    // SAFETY: the attributes hold numbers only.
    check(unsafe { call(command, &raw const attributes) })?;
    Ok(())
}

fn name(program: &OwnedFd) -> io::Result<[u8; NAME_LENGTH]> {
    let mut facts = ProgramFacts::default();
    let attributes = GetFacts {
        program: program.as_raw_fd() as u32,
        length: size_of::<ProgramFacts>() as u32,
        facts: (&raw mut facts).addr() as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes to `facts`, which is that long and outlives the call; all its
    // fields are numbers, and with lengths of 0 the kernel follows none of its pointers.
    check(unsafe { call(OBJ_GET_INFO_BY_FD, &raw const attributes) })?;
    Ok(facts.name)
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
