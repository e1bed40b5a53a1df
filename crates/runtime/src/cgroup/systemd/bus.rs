//! Talking to systemd: its own socket, or the message bus where that cannot be reached.

use super::wire::{self, Body, FIXED, Message, Method, Value};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

/// How long an answer may take: systemd's own time for a method call is 25 seconds, a job's may be longer.
const PATIENCE: Duration = Duration::from_secs(90);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const OBJECT: &str = "/org/freedesktop/systemd1";

/// A connection to a systemd: the system's, or a user's own.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    /// Whether there is a message bus in between.
    routed: bool,
    /// Jobs that have ended while something else was waited for: path and result.
    ended: Vec<(String, String)>,
}

impl Bus {
    /// Connects.
    ///
    /// # Errors
    /// `Unavailable` where there is no systemd.
    pub(super) fn connect(user: bool) -> Result<Self> {
        let mut refused = Vec::new();
        for (path, routed) in sockets(user) {
            match Self::open(&path, routed) {
                Ok(bus) => return Ok(bus),
                Err(error) => refused.push(format!("{}: {error}", path.display())),
            }
        }
        let whose = if user { "the user's systemd" } else { "systemd" };
        Err(Error::new(ErrorKind::Unavailable, format!("cannot reach {whose}"))
            .because(refused.join("; "))
            .hint(
                "without systemd, control groups are made by the runtime itself: leave --systemd-cgroup out",
            ))
    }

    fn open(path: &PathBuf, routed: bool) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut bus = Self { stream, serial: 0, routed, ended: Vec::new() };
        bus.authenticate()?;
        let to_bus = |member, arguments: &[Value]| {
            let name = "org.freedesktop.DBus";
            let method =
                Method { destination: Some(name), path: "/org/freedesktop/DBus", interface: name, member };
            (method, arguments.to_vec())
        };
        if routed {
            let rule = format!("type='signal',interface='{MANAGER}',member='JobRemoved'");
            for (method, arguments) in [to_bus("Hello", &[]), to_bus("AddMatch", &[Value::text(&rule)])] {
                bus.send(method, &arguments)?.map_err(|refusal| io::Error::other(refusal.text))?;
            }
        }
        // Only subscribers are told of jobs.
        let method = bus.method("Subscribe");
        bus.send(method, &[])?.map_err(|refusal| io::Error::other(refusal.text))?;
        Ok(bus)
    }

    /// By the credentials of the socket alone: the number of a user in a user namespace of its own means nothing outside.
    fn authenticate(&mut self) -> io::Result<()> {
        self.stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                let mut byte = [0];
                self.stream.read_exact(&mut byte)?;
                line.push(byte[0]);
            }
            match line.as_slice() {
                line if line.starts_with(b"OK") => return Ok(()),
                line if line.starts_with(b"DATA") => {}
                line => {
                    let answer = String::from_utf8_lossy(line).trim().to_owned();
                    return Err(io::Error::new(
                        io::ErrorKind::PermissionDenied,
                        format!("the bus says {answer}"),
                    ));
                }
            }
        }
    }

    fn method(&self, member: &'static str) -> Method<'static> {
        Method { destination: self.routed.then_some(SYSTEMD), path: OBJECT, interface: MANAGER, member }
    }

    fn send(
        &mut self,
        method: Method<'_>,
        arguments: &[Value],
    ) -> io::Result<std::result::Result<Body, Refusal>> {
        self.serial += 1;
        self.stream.write_all(&wire::call(self.serial, method, arguments))?;
        loop {
            match self.receive()? {
                Message::Return { serial, body } if serial == self.serial => return Ok(Ok(body)),
                Message::Error { serial, name, mut body } if serial == self.serial => {
                    return Ok(Err(Refusal { text: body.text().unwrap_or_else(|_| name.clone()), name }));
                }
                message => self.note(message)?,
            }
        }
    }

    fn receive(&mut self) -> io::Result<Message> {
        let mut fixed = [0; FIXED];
        self.stream.read_exact(&mut fixed)?;
        let mut bytes = vec![0; wire::length(&fixed)?];
        bytes[..FIXED].copy_from_slice(&fixed);
        self.stream.read_exact(&mut bytes[FIXED..])?;
        wire::parse(&bytes)
    }

    fn note(&mut self, message: Message) -> io::Result<()> {
        if let Message::Signal { member, mut body } = message
            && member == "JobRemoved"
        {
            // Its number, its path, the unit, the result.
            body.u32()?;
            let (path, _unit, result) = (body.text()?, body.text()?, body.text()?);
            self.ended.push((path, result));
        }
        Ok(())
    }

    /// Calls a method of systemd's.
    pub(super) fn call(
        &mut self,
        member: &'static str,
        arguments: &[Value],
    ) -> Result<std::result::Result<Body, Refusal>> {
        let method = self.method(member);
        self.send(method, arguments)
            .map_err(|error| Error::io(format!("cannot ask systemd to {member}"), error))
    }

    /// Calls a method that begins a job, and waits for that to be done.
    pub(super) fn run_job(
        &mut self,
        member: &'static str,
        arguments: &[Value],
    ) -> Result<std::result::Result<(), Refusal>> {
        let failed = |error| Error::io(format!("cannot wait for systemd to {member}"), error);
        let job = match self.call(member, arguments)? {
            Ok(mut body) => body.text().map_err(failed)?,
            Err(refusal) => return Ok(Err(refusal)),
        };
        loop {
            if let Some(at) = self.ended.iter().position(|(path, _)| *path == job) {
                return Ok(match self.ended.swap_remove(at).1.as_str() {
                    "done" => Ok(()),
                    result => {
                        Err(Refusal { name: String::new(), text: format!("its job ended as {result}") })
                    }
                });
            }
            let message = self.receive().map_err(failed)?;
            self.note(message).map_err(failed)?;
        }
    }

    /// A property of systemd's that is a text.
    pub(super) fn property(&mut self, name: &str) -> Result<String> {
        let method = Method { interface: "org.freedesktop.DBus.Properties", ..self.method("Get") };
        let failed = |error| Error::io(format!("cannot ask systemd for its {name}"), error);
        let answer = self.send(method, &[Value::text(MANAGER), Value::text(name)]).map_err(failed)?;
        answer.map_err(|refusal| failed(io::Error::other(refusal.text)))?.variant_text().map_err(failed)
    }
}

/// Why systemd has not done what it was asked to.
#[derive(Debug)]
pub(super) struct Refusal {
    /// As in `org.freedesktop.systemd1.UnitExists`; empty for a job that failed.
    pub(super) name: String,
    /// In words.
    pub(super) text: String,
}

/// Where systemd may listen, the best first, and whether that is a message bus.
fn sockets(user: bool) -> Vec<(PathBuf, bool)> {
    let bus = |variable| {
        let address = std::env::var(variable).ok()?;
        let path = address.split(';').find_map(|one| one.strip_prefix("unix:path="))?;
        Some((PathBuf::from(path.split(',').next()?), true))
    };
    if !user {
        let usual = [("/run/systemd/private", false), ("/run/dbus/system_bus_socket", true)];
        let usual = usual.map(|(path, routed)| (PathBuf::from(path), routed));
        return bus("DBUS_SYSTEM_BUS_ADDRESS").into_iter().chain(usual).collect();
    }
    let folder = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(
        || PathBuf::from(format!("/run/user/{}", rustix::process::geteuid().as_raw())),
        PathBuf::from,
    );
    let usual = [(folder.join("systemd/private"), false), (folder.join("bus"), true)];
    usual.into_iter().chain(bus("DBUS_SESSION_BUS_ADDRESS")).collect()
}
