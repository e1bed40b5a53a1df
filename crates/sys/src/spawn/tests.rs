use super::*;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
};

fn run(executable: &Executable, script: &str) -> String {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let argv = ["sh", "-c", script].map(|word| CString::new(word).unwrap());
    let child = loop {
        match executable.spawn(&argv, &[c"A=b".to_owned()], theirs.as_fd()) {
            // A child that another test's thread is just starting has the copy open for writing until its own execve.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            child => break child.unwrap(),
        }
    };
    drop(theirs);
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap();
    text
}

#[test]
fn a_program_has_its_control_descriptor_and_nothing_else() {
    let shell = Path::new("/bin/busybox");
    for executable in [Executable::open(shell).unwrap(), Executable::sealed(shell).unwrap()] {
        let text = run(&executable, "echo $A >&3; exec ls /proc/self/fd >&3");
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["b", "0", "1", "2", "3", "4"], "ls reads 4");
        let text = run(&executable, "exec cut -d' ' -f1,6 /proc/self/stat >&3");
        let (pid, session) = text.trim().split_once(' ').unwrap();
        assert_eq!(pid, session, "it leads a session");
    }
}

#[test]
fn it_cannot_be_overwritten_through_its_process() {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("sh");
    std::fs::copy("/bin/busybox", &copy).unwrap();
    for executable in [Executable::open(&copy).unwrap(), Executable::sealed(&copy).unwrap()] {
        let text = run(&executable, "(echo x > /proc/$$/exe) 2>&3");
        assert!(text.contains("Read-only file system") || text.contains("busy"), "{text}");
        let path = format!("/proc/self/fd/{}", executable.0.as_raw_fd());
        let written = File::options().write(true).open(path).and_then(|mut file| file.write_all(b"x"));
        assert!(matches!(written.unwrap_err().raw_os_error(), Some(libc::EROFS | libc::EPERM)));
    }
}

#[test]
fn a_missing_program_is_not_found() {
    assert_eq!(Executable::open(Path::new("/none")).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_program_that_may_be_written_to_is_not_taken_for_one_that_may_not() {
    let opened = File::options().write(true).open("/proc/self/exe").unwrap_err();
    // The file of a program that runs is busy, unless its mount may not be written to at all, as in the VM.
    let read_only = opened.raw_os_error() == Some(libc::EROFS);
    assert_eq!(Executable::is_current(), read_only, "{opened}");
}
