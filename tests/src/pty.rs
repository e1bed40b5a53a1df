//! A person at a terminal.

use crate::wait::try_within;
use crate::{Sandbox, within};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

/// A command, mostly `sampan`, that has a terminal as its standard input, output and error.
pub struct Terminal {
    master: File,
    child: Child,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Runs `sampan` with these words in a new session whose controlling terminal is `rows` × `columns` large.
    #[track_caller]
    pub fn new(sandbox: &Sandbox, words: &[&str], rows: u16, columns: u16) -> Self {
        Self::open(&sandbox.command(words), rows, columns)
    }

    /// Runs a shell line at such a terminal.
    #[track_caller]
    pub fn shell(line: &str, rows: u16, columns: u16) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        Self::open(&command, rows, columns)
    }

    #[track_caller]
    fn open(command: &Command, rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let name = ptsname(&master, Vec::new()).expect("the terminal's name");
        tcsetwinsize(&master, size(rows, columns)).expect("its size can be set");
        let slave = || {
            File::options()
                .read(true)
                .write(true)
                .open(OsStr::from_bytes(name.as_bytes()))
                .expect("the terminal")
        };
        // setsid(1) makes the terminal the controlling one, which a test without unsafe code cannot do itself.
        let child = Command::new("setsid")
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args())
            .env("TERM", "xterm")
            .stdin(slave())
            .stdout(slave())
            .stderr(slave())
            .spawn()
            .expect("setsid can be run");
        let master = File::from(master);
        let mut reader = master.try_clone().expect("the terminal's master again");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        // Ends with EIO when the last slave is closed (pty(7)).
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                sink.lock().expect("the screen").extend_from_slice(&buffer[..count]);
            }
        });
        Self { master, child, seen }
    }

    /// Types text.
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("the terminal takes input");
    }

    /// Changes the window's size.
    pub fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.master, size(rows, columns)).expect("its size can be set");
    }

    /// All that was shown so far.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("the screen")).into_owned()
    }

    /// Waits until the terminal shows a text.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        let shown = try_within(10, || self.screen().contains(text).then_some(()));
        assert!(shown.is_some(), "the terminal does not show {text:?}, but:\n{}", self.screen());
    }

    /// Waits for the command's end and gives its exit code.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        within(20, "the command at the terminal ends", || {
            self.child.try_wait().expect("the command can be waited for").and_then(|status| status.code())
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
