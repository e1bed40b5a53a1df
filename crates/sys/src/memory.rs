//! A long-lived process that costs little while it waits.

use std::{ffi::c_void, io};

/// Takes the program's own code and constants out of the calling process's memory (madvise(2), `MADV_DONTNEED`). The
/// kernel maps what is used next from the page cache again, at a microsecond for 64 KiB; what served only the start
/// stays out.
///
/// # Errors
/// What madvise gives, as for locked memory.
pub fn release_program_pages() -> io::Result<()> {
    let mut result = Ok(());
    // SAFETY: the callback has the signature that dl_iterate_phdr(3) asks for, and `result` outlives the call, which is
    // the only one to use that pointer.
    unsafe { libc::dl_iterate_phdr(Some(release_object), (&raw mut result).cast()) };
    result
}

/// Releases the segments of the first object that dl_iterate_phdr names, which is the program, and ends the iteration.
///
/// # Safety
/// Called by dl_iterate_phdr with `result` pointing at an `io::Result<()>`.
unsafe extern "C" fn release_object(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    result: *mut c_void,
) -> libc::c_int {
    // SAFETY: dl_iterate_phdr gives a valid object whose program headers are mapped for as long as the program runs.
    let (base, headers) = unsafe {
        let object = &*object;
        (object.dlpi_addr, std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)))
    };
    // Segments that were never writable are as in the file; of the others a page may hold what this process wrote.
    let constant =
        |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0;
    for header in headers.iter().filter(constant) {
        // SAFETY: reads a number that the kernel gave at the program's start.
        let page = unsafe { libc::getauxval(libc::AT_PAGESZ) };
        // Inwards: a page at a border may be another segment's too.
        let start = (base + header.p_vaddr).next_multiple_of(page);
        let end = (base + header.p_vaddr + header.p_memsz) / page * page;
        if start < end {
            // SAFETY: the range is a private mapping of the program's file that nobody has written to, so the same bytes
            // come back at the next access.
            let code = unsafe {
                libc::madvise(start as usize as *mut c_void, (end - start) as usize, libc::MADV_DONTNEED)
            };
            if code != 0 {
                // SAFETY: the caller of dl_iterate_phdr passed a pointer to this.
                unsafe { *result.cast::<io::Result<()>>() = Err(io::Error::last_os_error()) };
            }
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_file_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssFile:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn code_that_is_not_used_leaves_memory_and_the_rest_still_runs() {
        let before = resident_file_kib();
        release_program_pages().unwrap();
        let after = resident_file_kib();
        assert!(after < before, "{before} KiB, then {after} KiB");
        assert_eq!(format!("{:?}", [1, 2, 3]), "[1, 2, 3]");
    }
}
