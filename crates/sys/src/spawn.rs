//! Starting a program from a descriptor that nobody can write to.
//!
//! A container that gets hold of `/proc/<pid>/exe` of a process of ours must not be able to overwrite that program for
//! the next one (CVE-2019-5736). So a program that touches containers is started from an [`Executable`]: a read-only
//! clone of its mount, or a sealed copy.

use crate::{
    clone::Child,
    exec::{close_on_exec_from, pointers},
    mount::{Attr, Change},
    signal::{empty_set, full_set},
};
use rustix::{
    fs::{MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags},
    mount::OpenTreeFlags,
};
use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// A program that cannot be written to through the processes that run it.
#[derive(Debug)]
pub struct Executable(OwnedFd);

impl Executable {
    /// The program at `path`: as a read-only mount of it that is attached nowhere, or, where the caller may not mount, as a sealed copy in
    /// memory.
    ///
    /// # Errors
    /// What opening or copying the file gives.
    pub fn open(path: &Path) -> io::Result<Self> {
        match Self::read_only(path) {
            Ok(executable) => Ok(executable),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
            Err(_) => Self::sealed(path),
        }
    }

    /// One open_tree(2) and one mount_setattr(2): no copy, and page cache shared by all processes.
    fn read_only(path: &Path) -> io::Result<Self> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = rustix::mount::open_tree(rustix::fs::CWD, path, flags)?;
        Change { set: Attr::RDONLY, ..Change::default() }.apply(&tree)?;
        Ok(Self(tree))
    }

    fn sealed(path: &Path) -> io::Result<Self> {
        let mut source = File::open(path)?;
        let create = |flags| rustix::fs::memfd_create("sampan-executable", flags);
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // MFD_EXEC is asked for where the kernel knows it (Linux 6.3), or a sysctl may take the right to run away.
        let mut copy = File::from(create(flags | MemfdFlags::EXEC).or_else(|_| create(flags))?);
        io::copy(&mut source, &mut copy)?;
        rustix::fs::fcntl_add_seals(
            &copy,
            SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
        )?;
        // A descriptor that may write counts as a writer, and a file with a writer is busy for execve.
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        Ok(Self(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// Whether the program that runs here is one already: its file is on a mount or a file system that nobody may write to, or
    /// sealed in memory.
    pub fn is_current() -> bool {
        let exe = c"/proc/self/exe";
        if rustix::fs::statvfs(exe).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY)) {
            return true;
        }
        rustix::fs::open(exe, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .and_then(rustix::fs::fcntl_get_seals)
            .is_ok_and(|seals| seals.contains(SealFlags::WRITE))
    }

    /// Becomes the program; returns only with the reason why it could not.
    pub fn run(&self, argv: &[CString], envp: &[CString]) -> io::Error {
        let (argv, envp) = (pointers(argv), pointers(envp));
        // SAFETY: the path is empty, so that the descriptor, which is open, is the program; both arrays end with a null pointer, and the
        // strings they point to are borrowed for the whole call.
        unsafe {
            let (fd, flags) = (self.0.as_raw_fd(), libc::AT_EMPTY_PATH);
            libc::syscall(libc::SYS_execveat, fd, c"".as_ptr(), argv.as_ptr(), envp.as_ptr(), flags)
        };
        io::Error::last_os_error()
    }

    /// Starts the program in a session of its own, with `/dev/null` as standard input, output and error, `control`
    /// as descriptor 3 and no other (all others of the caller are marked to be closed), all signals at their defaults.
    /// Sound in processes with threads, and as quick as vfork(2): no memory is copied.
    ///
    /// # Errors
    /// What starting it gives; `/proc` must be mounted.
    pub fn spawn(&self, argv: &[CString], envp: &[CString], control: BorrowedFd<'_>) -> io::Result<Child> {
        // What the caller itself inherited without this mark would reach the program, and the container after it.
        close_on_exec_from(3)?;
        // Out of the way of the descriptors that the actions below set.
        let program = rustix::io::fcntl_dupfd_cloexec(&self.0, 10)?;
        let control = rustix::io::fcntl_dupfd_cloexec(control, 10)?;
        let path = CString::new(format!("/proc/self/fd/{}", program.as_raw_fd()))?;
        let mut actions = Actions::new()?;
        for fd in 0..=2 {
            actions.open(fd, c"/dev/null", libc::O_RDWR)?;
        }
        actions.duplicate(control.as_fd(), 3)?;
        let attributes = Attributes::new_session()?;
        let argv = pointers(argv);
        let envp = pointers(envp);
        let mut pid = 0;
        // SAFETY: every pointer refers to an initialised value that outlives the call; both arrays end with a null
        // pointer.
        let result = unsafe {
            libc::posix_spawn(
                &raw mut pid,
                path.as_ptr(),
                &raw const actions.0,
                &raw const attributes.0,
                argv.as_ptr().cast(),
                envp.as_ptr().cast(),
            )
        };
        status(result)?;
        // The child has not been waited for, so the number is still its own.
        let child = rustix::process::Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
        let pidfd = rustix::process::pidfd_open(child, rustix::process::PidfdFlags::empty())?;
        Ok(Child { pid, pidfd })
    }
}

/// What a spawned process does with descriptors before it runs the program.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: the call initialises the value, which is used only when it has succeeded.
        status(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: initialised above.
        Ok(Self(unsafe { actions.assume_init() }))
    }

    fn open(&mut self, fd: libc::c_int, path: &CStr, flags: libc::c_int) -> io::Result<()> {
        // SAFETY: the actions are initialised; the C library copies the path.
        status(unsafe {
            libc::posix_spawn_file_actions_addopen(&raw mut self.0, fd, path.as_ptr(), flags, 0)
        })
    }

    fn duplicate(&mut self, from: BorrowedFd<'_>, to: libc::c_int) -> io::Result<()> {
        // SAFETY: the actions are initialised.
        status(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, from.as_raw_fd(), to) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// What a spawned process has of its own.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new_session() -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the call initialises the value, which is used only when it has succeeded.
        status(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: initialised above.
        let mut attributes = Self(unsafe { attributes.assume_init() });
        let (none, all) = (empty_set(), full_set());
        let flags =
            i32::from(libc::POSIX_SPAWN_SETSID) | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        // SAFETY: the attributes are initialised, the sets too; the C library copies them.
        unsafe {
            status(libc::posix_spawnattr_setsigmask(&raw mut attributes.0, &raw const none))?;
            status(libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, &raw const all))?;
            status(libc::posix_spawnattr_setflags(&raw mut attributes.0, flags as libc::c_short))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new_session`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// The posix_spawn family gives the error number itself.
fn status(code: libc::c_int) -> io::Result<()> {
    match code {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

#[cfg(test)]
mod tests;
