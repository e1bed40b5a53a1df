//! Finding the program and its surroundings inside the container.

use crate::error::{Cannot, invalid};
use rustix::{
    fs::{Access, AtFlags, CWD, FileType, Mode, OFlags},
    io::Errno,
};
use sampan_types::{Error, ErrorKind, Result, spec::Process};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    ffi::{CString, OsStr},
    fs::File,
    io::Read,
    os::unix::ffi::OsStrExt,
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
    /// Looks the program up, in the root, from the working directory and with the rights that the calling process has.
    /// `env` is what [`environment`] gives.
    pub(crate) fn find(process: &Process, env: &[String]) -> Result<Self> {
        let Some(name) = process.args.first().filter(|name| !name.is_empty()) else {
            return Err(invalid("cannot run a container", "process.args names no program"));
        };
        let path = match name.contains('/') {
            true => check(name).map_err(|refusal| refusal.error(name)).map(|()| name.clone())?,
            false => search(name, value(env, "PATH").unwrap_or(DEFAULT_PATH))?,
        };
        Ok(Self { path: text(&path)?, argv: texts(&process.args)?, envp: texts(env)? })
    }

    /// Becomes the program; returns only with the reason why it could not.
    pub(crate) fn run(&self) -> Error {
        let error = sampan_sys::exec::execve(&self.path, &self.argv, &self.envp);
        let (kind, why) = match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => (ErrorKind::CommandNotFound, "no such file or directory".to_owned()),
            Some(Errno::ACCESS) => (ErrorKind::NotExecutable, "permission denied".to_owned()),
            Some(Errno::NOEXEC) => (ErrorKind::NotExecutable, "exec format error".to_owned()),
            _ => (ErrorKind::NotExecutable, error.to_string()),
        };
        // As runc says it, for callers look for this line.
        Error::new(kind, format!("exec {}", self.path.to_string_lossy())).because(why)
    }
}

/// Why a file is not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Missing,
    NotInPath,
    Denied,
    Directory,
    /// It could not be looked for.
    Failed(Errno),
}

impl Refusal {
    /// As runc says it, for callers look for these lines.
    fn error(self, name: &str) -> Error {
        let (kind, why) = match self {
            Self::Missing => (ErrorKind::CommandNotFound, format!("stat {name}: no such file or directory")),
            Self::NotInPath => (ErrorKind::CommandNotFound, "executable file not found in $PATH".to_owned()),
            Self::Denied => (ErrorKind::NotExecutable, "permission denied".to_owned()),
            Self::Directory => (ErrorKind::NotExecutable, "is a directory".to_owned()),
            Self::Failed(errno) => return Error::io(format!("exec: {name:?}"), errno.into()),
        };
        Error::new(kind, format!("exec: {name:?}")).because(why)
    }
}

/// Whether the calling process, with the rights that it has in force, may run this file.
fn check(path: &str) -> Result<(), Refusal> {
    let refusal = |errno| match errno {
        Errno::ACCESS => Refusal::Denied,
        Errno::NOMEM | Errno::IO => Refusal::Failed(errno),
        _ => Refusal::Missing,
    };
    let allowed = rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS);
    // Every directory may be entered by root.
    if allowed.is_ok() || allowed == Err(Errno::ACCESS) {
        let stat = rustix::fs::stat(path).map_err(refusal)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(Refusal::Directory);
        }
    }
    allowed.map_err(refusal)
}

fn search(name: &str, path: &str) -> Result<String> {
    let mut refusal = Refusal::NotInPath;
    for directory in path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = format!("{directory}/{name}");
        match check(&candidate) {
            Ok(()) => return Ok(candidate),
            // One that may not be run says more than none at all.
            Err(Refusal::Denied) => refusal = Refusal::Denied,
            Err(failed @ Refusal::Failed(_)) => return Err(failed.error(name)),
            Err(_) => {}
        }
    }
    Err(refusal.error(name))
}

/// The environment: of each name the last value, and a `HOME` that `/etc/passwd` knows where none is given. An entry that
/// is no `NAME=value` is refused.
pub(crate) fn environment(process: &Process) -> Result<Vec<String>> {
    let mut env: Vec<String> = Vec::with_capacity(process.env.len() + 1);
    // Ordered: a hash table would ask the kernel for random numbers first.
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in &process.env {
        let name = match entry.split_once('=') {
            Some((name, _)) if !name.is_empty() => name,
            _ => {
                let why = "it must be NAME=value";
                return Err(invalid(format!("invalid environment variable {entry:?}"), why));
            }
        };
        match places.entry(name) {
            Entry::Occupied(place) => env[*place.get()].clone_from(entry),
            Entry::Vacant(place) => {
                place.insert(env.len());
                env.push(entry.clone());
            }
        }
    }
    if value(&env, "HOME").is_none_or(str::is_empty) {
        let home = home(process.user.uid).unwrap_or_else(|| "/".to_owned());
        env.retain(|entry| !entry.starts_with("HOME="));
        env.push(format!("HOME={home}"));
    }
    Ok(env)
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
        let find = |args: &[&str], env: &[&str]| {
            let process = process(args, env);
            Program::find(&process, &environment(&process)?)
        };
        let refused = |name: &str, env: &[&str]| format!("{:?}", find(&[name], env).unwrap_err());
        let program = find(&["sh", "-c"], &["PATH=/none:/bin"]).unwrap();
        assert_eq!(program.path.to_str(), Ok("/bin/sh"));
        assert_eq!(program.argv[0].to_str(), Ok("sh"));
        assert_eq!(
            refused("sh", &["PATH=/none"]),
            "CommandNotFound: exec: \"sh\": executable file not found in $PATH"
        );
        assert_eq!(
            refused("/none/sh", &[]),
            "CommandNotFound: exec: \"/none/sh\": stat /none/sh: no such file or directory"
        );
        assert_eq!(refused("/etc/passwd", &[]), "NotExecutable: exec: \"/etc/passwd\": permission denied");
        assert_eq!(refused("/etc", &[]), "NotExecutable: exec: \"/etc\": is a directory");
    }

    #[test]
    fn the_last_value_of_a_variable_wins_and_stands_once() {
        let env = environment(&process(&[], &["A=1", "HOME=/h", "A=2", "B=x\ny=", "C="])).unwrap();
        assert_eq!(env, ["A=2", "HOME=/h", "B=x\ny=", "C="]);
        for bad in ["A", "=1", ""] {
            let error = environment(&process(&[], &[bad])).unwrap_err();
            assert_eq!(error.to_string(), format!("invalid environment variable {bad:?}"));
        }
    }

    #[test]
    fn home_is_looked_up_by_uid() {
        let passwd = "bad\nroot:x:0:0::/root:/bin/sh\nu:x:7:7:::\nv:x:8:8::/v:";
        assert_eq!(home_of(passwd, 0).as_deref(), Some("/root"));
        assert_eq!(home_of(passwd, 7), None);
        assert_eq!(home_of(passwd, 8).as_deref(), Some("/v"));
        let env = environment(&process(&[], &["HOME="])).unwrap();
        assert_eq!(env, ["HOME=/root"]);
    }
}
