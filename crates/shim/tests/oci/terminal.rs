//! A terminal of the container's own, on the caller's.

use crate::support::{Bundle, PATIENCE};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::Instant,
};

/// A terminal with a command on it.
struct Screen {
    master: OwnedFd,
    slave: File,
    shown: String,
}

impl Screen {
    fn new() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = File::options().read(true).write(true).open(name).unwrap();
        let screen = Self { master, slave, shown: String::new() };
        screen.resize(24, 80);
        screen
    }

    fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })
            .unwrap();
    }

    fn spawn(&self, mut command: Command) -> Child {
        let copy = || Stdio::from(self.slave.try_clone().unwrap());
        command.stdin(copy()).stdout(copy()).stderr(copy());
        // Not the session's terminal: signals about its size come from the test.
        command.process_group(0).spawn().unwrap()
    }

    fn types(&self, text: &str) {
        rustix::io::write(&self.master, text.as_bytes()).unwrap();
    }

    #[track_caller]
    fn shows(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        while !self.shown.contains(text) {
            assert!(Instant::now() < end, "no {text:?}: {:?}", self.shown);
            let wait = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            if poll(&mut [PollFd::new(&self.master, PollFlags::IN)], Some(&wait)).unwrap() > 0 {
                let count = rustix::io::read(&self.master, &mut buffer).unwrap();
                self.shown += &String::from_utf8_lossy(&buffer[..count]);
            }
        }
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.slave).unwrap().local_modes.contains(LocalModes::ECHO)
    }
}

fn with_terminal(script: &str) -> Bundle {
    let mut bundle = Bundle::shell(script);
    bundle.config["process"]["terminal"] = true.into();
    bundle
}

#[test]
fn a_run_has_the_callers_size_and_follows_it() {
    let script = "trap 'stty size; exit 5' WINCH; tty; stty size; while :; do usleep 10000; done";
    let bundle = with_terminal(script);
    let mut screen = Screen::new();
    let mut child = screen.spawn(bundle.command(&["run", "$ID"]));
    screen.shows("/dev/pts/0");
    screen.shows("24 80");
    assert!(screen.is_raw());
    screen.resize(30, 100);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::WINCH)
        .unwrap();
    screen.shows("30 100");
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(!screen.is_raw(), "the caller's terminal is as it was");
}

#[test]
fn what_is_typed_reaches_the_program_as_signals_do() {
    let bundle = with_terminal(
        "trap 'echo interrupted; exit 6' INT; read line; echo got $line; while :; do usleep 10000; done",
    );
    let mut screen = Screen::new();
    let mut child = screen.spawn(bundle.command(&["run", "$ID"]));
    screen.types("hello\r");
    screen.shows("got hello");
    // The key goes through the raw terminal and becomes a signal in the container's.
    screen.types("\u{3}");
    screen.shows("interrupted");
    assert_eq!(child.wait().unwrap().code(), Some(6));
}

#[test]
fn without_a_terminal_outside_all_output_comes() {
    let bundle = with_terminal("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; exit 4");
    let (code, out, err) = bundle.call(&["run", "$ID"]);
    assert_eq!(code, 4, "{err}");
    assert_eq!(out.lines().count(), 2000);
    assert!(out.ends_with("line 1999\n") && !out.contains('\r'), "newlines are left alone");
}

#[test]
fn an_exec_has_one_too() {
    let bundle = Bundle::shell("sleep 1000");
    bundle.succeeds(&["run", "-d", "$ID"]);
    let mut screen = Screen::new();
    let mut child =
        screen.spawn(bundle.command(&["exec", "-t", "$ID", "sh", "-c", "stty size; read x; exit $x"]));
    screen.shows("24 80");
    screen.types("8\r");
    assert_eq!(child.wait().unwrap().code(), Some(8));
    let (code, out, _) = bundle.call(&["exec", "-t", "$ID", "sh", "-c", "echo hi; exit 2"]);
    assert_eq!((code, out.as_str()), (2, "hi\n"));
}
