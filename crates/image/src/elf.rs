//! As much of the executable format as tells a static program from one that needs a loader (elf(5)).

/// `PT_INTERP`: the segment that names the loader.
const INTERPRETER: u32 = 3;

/// Whether these are the bytes of an executable that needs neither loader nor libraries. `None` where they are no
/// executable of this machine's byte order.
pub(crate) fn is_static(program: &[u8]) -> Option<bool> {
    let class = match program.get(..6)? {
        [0x7f, b'E', b'L', b'F', class @ (1 | 2), 1] => *class,
        _ => return None,
    };
    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = program.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    // e_phoff, e_phentsize, e_phnum of Elf32_Ehdr and Elf64_Ehdr.
    let (table, entry_size, count) = match class {
        1 => (number(28, 4)?, number(42, 2)?, number(44, 2)?),
        _ => (number(32, 8)?, number(54, 2)?, number(56, 2)?),
    };
    for entry in 0..count {
        let at = usize::try_from(table.checked_add(entry.checked_mul(entry_size)?)?).ok()?;
        if number(at, 4)? == u64::from(INTERPRETER) {
            return Some(false);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_this_machine() {
        // Debian's own shell is dynamic; this test is static, as everything in this workspace.
        assert_eq!(is_static(&std::fs::read("/bin/sh").unwrap()), Some(false));
        assert_eq!(is_static(&std::fs::read("/proc/self/exe").unwrap()), Some(true));
        assert_eq!(is_static(b"#!/bin/sh\n"), None);
        assert_eq!(is_static(b"\x7fELF\x02\x01"), None);
    }
}
