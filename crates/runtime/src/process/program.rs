//! Finding the program and its surroundings inside the container.

use crate::error::{Cannot, invalid};
use rustix::{
    fs::{FileType, Mode, OFlags},
    io::Errno,
};
use sampan_types::{Error, ErrorKind, Result, spec::Process};
use std::{
    ffi::{CString, OsStr},
    fs::File,
    io::Read,
    os::unix::ffi::OsStrExt,
    path::Path,
};

/// Where programs are looked for without a `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// As much of `/etc/passwd` as is read: an image's file is not trusted to end.
const MAX_PASSWD: u64 = 4 << 20;

/// A program ready to be run.
#[derive(Debug)]
pub(crate) struct Program {
    path: CString,
    argv: Vec<CString>,
    envp: Vec<CString>,
}

impl Program {
    /// Looks the program up, in the root and from the working directory that the calling process has.
    pub(crate) fn find(process: &Process) -> Result<Self> {
        let Some(name) = process.args.first().filter(|name| !name.is_empty()) else {
            return Err(invalid("cannot run a container", "process.args names no program"));
        };
        let env = environment(process);
        let path = match name.contains('/') {
            true => check(Path::new(name)).map_err(|refusal| refusal.error(name)).map(|()| name.clone())?,
            false => search(name, value(&env, "PATH").unwrap_or(DEFAULT_PATH))?,
        };
        Ok(Self { path: text(&path)?, argv: texts(&process.args)?, envp: texts(&env)? })
    }

    /// Becomes the program; returns only with the reason why it could not.
    pub(crate) fn run(&self) -> Error {
        let error = sampan_sys::exec::execve(&self.path, &self.argv, &self.envp);
        let name = self.argv.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => Refusal::Missing.error(&name),
            Some(Errno::ACCESS) => Refusal::Denied.error(&name),
            Some(Errno::NOEXEC) => Refusal::Format.error(&name),
            Some(Errno::NOMEM | Errno::AGAIN) => Error::io(format!("cannot run {name:?}"), error),
            _ => Error::new(ErrorKind::NotExecutable, format!("cannot run {name:?}")).because(error),
        }
    }
}

/// Why a file is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Missing,
    NotInPath,
    Denied,
    Directory,
    Format,
}

impl Refusal {
    fn error(self, name: &str) -> Error {
        let (kind, why) = match self {
            Self::Missing => (ErrorKind::CommandNotFound, "no such file or directory"),
            Self::NotInPath => (ErrorKind::CommandNotFound, "executable file not found in $PATH"),
            Self::Denied => (ErrorKind::NotExecutable, "permission denied"),
            Self::Directory => (ErrorKind::NotExecutable, "is a directory"),
            Self::Format => (ErrorKind::NotExecutable, "exec format error"),
        };
        Error::new(kind, format!("cannot run {name:?}")).because(why)
    }
}

fn check(path: &Path) -> Result<(), Refusal> {
    let stat = rustix::fs::stat(path).map_err(|errno| match errno {
        Errno::ACCESS => Refusal::Denied,
        _ => Refusal::Missing,
    })?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Err(Refusal::Directory),
        _ if stat.st_mode & 0o111 == 0 => Err(Refusal::Denied),
        _ => Ok(()),
    }
}

fn search(name: &str, path: &str) -> Result<String> {
    let mut refusal = Refusal::NotInPath;
    for directory in path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = format!("{directory}/{name}");
        match check(Path::new(&candidate)) {
            Ok(()) => return Ok(candidate),
            // One that may not be run says more than none at all.
            Err(Refusal::Denied) => refusal = Refusal::Denied,
            Err(_) => {}
        }
    }
    Err(refusal.error(name))
}

/// The environment: of each name the last value, and a `HOME` that `/etc/passwd` knows where none is given.
fn environment(process: &Process) -> Vec<String> {
    let mut env: Vec<String> = Vec::with_capacity(process.env.len() + 1);
    for entry in &process.env {
        let key = entry.split_once('=').map_or(entry.as_str(), |(key, _)| key);
        match env.iter_mut().find(|own| own.split_once('=').is_some_and(|(own, _)| own == key)) {
            Some(own) => own.clone_from(entry),
            None => env.push(entry.clone()),
        }
    }
    if value(&env, "HOME").is_none_or(str::is_empty) {
        let home = home(process.user.uid).unwrap_or_else(|| "/".to_owned());
        env.retain(|entry| !entry.starts_with("HOME="));
        env.push(format!("HOME={home}"));
    }
    env
}

fn value<'a>(env: &'a [String], key: &str) -> Option<&'a str> {
    env.iter().find_map(|entry| entry.strip_prefix(key)?.strip_prefix('='))
}

fn home(uid: u32) -> Option<String> {
    // Without waiting: an image may have a pipe in its place.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open("/etc/passwd", flags, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut bytes = Vec::new();
    File::from(file).take(MAX_PASSWD).read_to_end(&mut bytes).ok()?;
    home_of(&String::from_utf8_lossy(&bytes), uid)
}

fn home_of(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let own: u32 = fields.get(2)?.parse().ok()?;
        (own == uid)
            .then(|| fields.get(5).copied())
            .flatten()
            .filter(|home| !home.is_empty())
            .map(str::to_owned)
    })
}

fn text(text: &str) -> Result<CString> {
    CString::new(OsStr::new(text).as_bytes()).cannot(|| format!("pass {text:?} to the program"))
}

fn texts(list: &[String]) -> Result<Vec<CString>> {
    list.iter().map(|entry| text(entry)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(args: &[&str], env: &[&str]) -> Process {
        let own = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
        Process { args: own(args), env: own(env), ..Process::default() }
    }

    #[test]
    fn programs_are_found_in_the_path_of_the_process() {
        let program = Program::find(&process(&["sh", "-c"], &["PATH=/none:/bin"])).unwrap();
        assert_eq!(program.path.to_str(), Ok("/bin/sh"));
        let error = Program::find(&process(&["sh"], &["PATH=/none"])).unwrap_err();
        assert_eq!(
            format!("{error:?}"),
            "CommandNotFound: cannot run \"sh\": executable file not found in $PATH"
        );
        let error = Program::find(&process(&["/none/sh"], &[])).unwrap_err();
        assert_eq!(
            format!("{error:?}"),
            "CommandNotFound: cannot run \"/none/sh\": no such file or directory"
        );
        let error = Program::find(&process(&["/etc/passwd"], &[])).unwrap_err();
        assert_eq!(format!("{error:?}"), "NotExecutable: cannot run \"/etc/passwd\": permission denied");
        let error = Program::find(&process(&["/etc"], &[])).unwrap_err();
        assert_eq!(format!("{error:?}"), "NotExecutable: cannot run \"/etc\": is a directory");
    }

    #[test]
    fn the_last_value_of_a_variable_wins_and_stands_once() {
        let env = environment(&process(&[], &["A=1", "HOME=/h", "A=2", "B=x\ny"]));
        assert_eq!(env, ["A=2", "HOME=/h", "B=x\ny"]);
    }

    #[test]
    fn home_is_looked_up_by_uid() {
        let passwd = "bad\nroot:x:0:0::/root:/bin/sh\nu:x:7:7:::\nv:x:8:8::/v:";
        assert_eq!(home_of(passwd, 0).as_deref(), Some("/root"));
        assert_eq!(home_of(passwd, 7), None);
        assert_eq!(home_of(passwd, 8).as_deref(), Some("/v"));
        let env = environment(&process(&[], &["HOME="]));
        assert_eq!(env, ["HOME=/root"]);
    }
}
