//! Names of system calls, with the number that each architecture of this machine has for them.
//!
//! A table of hashes made at build time: a profile's name is looked up once for all architectures, nothing is set up for it at run
//! time, and no page of a waiting process holds it.

use super::arch::X32_OWN;

/// A call that an architecture does not have.
pub(super) const NONE: u32 = u32::MAX;

/// Architectures in a call's numbers: the native one, x32 (without its bit) or 32-bit Arm, x86.
pub(super) const COLUMNS: usize = 3;
const SLOTS: usize = 2048;
const MAX_NAMES: usize = 640;
const MAX_BYTES: usize = 16 << 10;

/// A call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    start: u16,
    length: u8,
    /// The first argument with which 32-bit x86 makes it through another call, 0 where it does not.
    pub(super) gathered: u8,
    /// Whether that other call is `ipc`, else it is `socketcall`.
    pub(super) by_ipc: bool,
    /// Its numbers by architecture's column, or [`NONE`].
    pub(super) numbers: [u32; COLUMNS],
}

/// Numbers of the calls in which 32-bit x86 gathers others.
pub(super) const SOCKETCALL: u32 = 102;
pub(super) const IPC: u32 = 117;

/// Calls that it makes through `socketcall`, whose first argument is 1 for the first (linux/net.h).
const SOCKET_CALLS: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// Calls that it makes through `ipc`, with the first argument's lower half (linux/ipc.h).
const IPC_CALLS: [(&str, u8); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

struct Table {
    /// Indices into `entries`, from 1 on; 0 is free.
    slots: [u16; SLOTS],
    entries: [Call; MAX_NAMES],
    count: usize,
    bytes: [u8; MAX_BYTES],
    used: usize,
}

static TABLE: Table = build();

/// A call; `None` where no architecture of this machine has it.
pub(super) fn find(name: &str) -> Option<&'static Call> {
    let name = name.as_bytes();
    let mut slot = hash(name);
    loop {
        let index = usize::from(TABLE.slots[slot]);
        if index == 0 {
            return None;
        }
        let entry = &TABLE.entries[index - 1];
        let start = usize::from(entry.start);
        if &TABLE.bytes[start..start + usize::from(entry.length)] == name {
            return Some(entry);
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// FNV-1a.
const fn hash(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ (hash >> 16)) as usize % SLOTS
}

impl Call {
    const fn new() -> Self {
        Self { start: 0, length: 0, gathered: 0, by_ipc: false, numbers: [NONE; COLUMNS] }
    }
}

impl Table {
    /// Notes a call's number in a column.
    const fn note(&mut self, name: &str, column: usize, number: u32) {
        let index = self.index(name);
        self.entries[index].numbers[column] = number;
    }

    /// Notes that a call is also made through another.
    const fn gather(&mut self, name: &str, by_ipc: bool, argument: u8) {
        let index = self.index(name);
        self.entries[index].gathered = argument;
        self.entries[index].by_ipc = by_ipc;
    }

    /// Where a call stands, from now on if it did not before.
    const fn index(&mut self, name: &str) -> usize {
        let name = name.as_bytes();
        // A keyword of Rust's (`r#break`).
        let skip = if name.len() > 2 && name[0] == b'r' && name[1] == b'#' { 2 } else { 0 };
        let (_, name) = name.split_at(skip);
        let mut slot = hash(name);
        while self.slots[slot] != 0 {
            let index = self.slots[slot] as usize - 1;
            if self.is(index, name) {
                return index;
            }
            slot = (slot + 1) % SLOTS;
        }
        self.entries[self.count] = Call { start: self.used as u16, length: name.len() as u8, ..Call::new() };
        self.count += 1;
        self.slots[slot] = self.count as u16;
        let mut at = 0;
        while at < name.len() {
            self.bytes[self.used] = name[at];
            self.used += 1;
            at += 1;
        }
        self.count - 1
    }

    const fn is(&self, index: usize, name: &[u8]) -> bool {
        let entry = self.entries[index];
        if entry.length as usize != name.len() {
            return false;
        }
        let mut at = 0;
        while at < name.len() {
            if self.bytes[entry.start as usize + at] != name[at] {
                return false;
            }
            at += 1;
        }
        true
    }
}

macro_rules! note_all {
    ($table:ident, $arch:ident, $($column:expr),+) => {
        let mut id = 0;
        while id <= syscalls::$arch::Sysno::last().id() as usize {
            if let Some(call) = syscalls::$arch::Sysno::new(id) {
                $($table.note(call.name(), $column, id as u32);)+
            }
            id += 1;
        }
    };
}

// The compiler runs through a thousand names, letter by letter.
#[allow(long_running_const_eval)]
const fn build() -> Table {
    let mut table = Table {
        slots: [0; SLOTS],
        entries: [Call::new(); MAX_NAMES],
        count: 0,
        bytes: [0; MAX_BYTES],
        used: 0,
    };
    if cfg!(target_arch = "aarch64") {
        note_all!(table, aarch64, 0);
        note_all!(table, arm, 1);
        // Calls of its own (arch/arm/include/uapi/asm/unistd.h).
        let own = ["breakpoint", "cacheflush", "usr26", "usr32", "set_tls", "get_tls"];
        let mut at = 0;
        while at < own.len() {
            table.note(own[at], 1, super::arch::ARM_OWN + 1 + at as u32);
            at += 1;
        }
    } else {
        note_all!(table, x86_64, 0, 1);
        let mut at = 0;
        while at < X32_OWN.len() {
            table.note(X32_OWN[at], 1, 512 + at as u32);
            at += 1;
        }
        note_all!(table, x86, 2);
        let mut at = 0;
        while at < SOCKET_CALLS.len() {
            table.gather(SOCKET_CALLS[at], false, at as u8 + 1);
            at += 1;
        }
        let mut at = 0;
        while at < IPC_CALLS.len() {
            let (name, argument) = IPC_CALLS[at];
            table.gather(name, true, argument);
            at += 1;
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_call_has_a_number_in_each_architecture_that_knows_it() {
        let numbers = |name: &str| find(name).map(|call| call.numbers);
        assert_eq!(numbers("execve"), Some([59, 520, 11]));
        assert_eq!(numbers("read"), Some([0, 0, 3]));
        assert_eq!(numbers("pwritev2"), Some([328, 547, 379]));
        assert_eq!(numbers("socketcall"), Some([NONE, NONE, 102]));
        assert_eq!(numbers("break"), Some([NONE, NONE, 17]));
        assert_eq!(numbers("no_such_call"), None);
        assert_eq!(numbers(""), None);
        let gathered = |name: &str| find(name).map(|call| (call.by_ipc, call.gathered));
        assert_eq!((gathered("accept4"), gathered("shmctl")), (Some((false, 18)), Some((true, 24))));
        assert_eq!(gathered("read"), Some((false, 0)));
        let through = |name: &str| numbers(name).map(|numbers| numbers[2]);
        assert_eq!((through("socketcall"), through("ipc")), (Some(SOCKETCALL), Some(IPC)));
        for id in 0..=syscalls::x86::Sysno::last().id() as usize {
            let Some(call) = syscalls::x86::Sysno::new(id) else { continue };
            let name = call.name().trim_start_matches("r#");
            assert_eq!(numbers(name).unwrap()[2], id as u32, "{name}");
        }
    }
}
