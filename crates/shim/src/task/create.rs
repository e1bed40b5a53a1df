//! From a bundle to a container at its *created* point.

use super::{CHUNK, Task, become_program};
use crate::{
    bundle::Bundle, connection::Connection, exit, json_log::JsonLog, oom::OomProtection, restarts::Restarts,
    streams::Streams,
};
use rustix::{
    fd::{AsRawFd as _, OwnedFd},
    fs::{Mode, OFlags},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
    process::Signal,
};
use sampan_runtime::{Container, Options, Rootfs};
use sampan_sys::{channel, failpoint, process::start_time, startup};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::Spec,
    task::{Failure, ProcessId, Reply, Request, TaskState, TaskStatus},
};
use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt as _, path::Path, process::ExitCode};

/// The descriptor on which the engine waits.
const CONTROL: i32 = 3;

/// Runs `sampan-shim task <bundle>`.
///
/// # Errors
/// Where descriptor 3 is not a socket, and where the loop itself or `on_exit` fails. A container that cannot be made is
/// told on descriptor 3.
pub(crate) fn run(path: &Path) -> Result<ExitCode> {
    let origin = control_socket()?;
    let oom = leave_caller();
    let bundle = match Bundle::open(path) {
        Ok(bundle) => bundle,
        // Without a bundle there is nothing to tidy.
        Err(error) => return tell(&origin, &error).map(|()| ExitCode::FAILURE),
    };
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let start = match start_time(pid) {
        Ok(start) => start,
        Err(error) => {
            let error = Error::io("cannot read this process's start time", error).hint("mount /proc");
            return tell(&origin, &error).map(|()| ExitCode::FAILURE);
        }
    };
    let shim = ProcessId { pid, start };
    let origin = Connection::new(0, origin, true)
        .map_err(|error| Error::io("cannot use the control socket", error))?;
    match Made::new(&bundle, shim, &oom) {
        Ok(made) => made.into_task(bundle, origin, oom).run(),
        Err(error) => refuse(&bundle, shim, &origin.into_socket(), &error),
    }
}

/// Descriptor 3, which must be a stream socket.
fn control_socket() -> Result<OwnedFd> {
    let unusable = |why: String| {
        Error::new(ErrorKind::InvalidInput, format!("cannot use descriptor {CONTROL} as control socket"))
            .because(why)
            .hint("this program is started by sampan, not by hand")
    };
    let socket = startup::adopt(CONTROL).map_err(|error| unusable(error.to_string()))?;
    match rustix::net::sockopt::socket_type(&socket) {
        Ok(SocketType::STREAM) => Ok(socket),
        Ok(_) => Err(unusable("it is not a stream socket".to_owned())),
        Err(errno) => Err(unusable(io::Error::from(errno).to_string())),
    }
}

/// Becomes independent of who started this process: a session of its own, no directory kept busy, no signal from a
/// terminal or a closed socket.
fn leave_caller() -> OomProtection {
    // Fails only where this is the leader of a session already.
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    startup::ignore(Signal::HUP);
    startup::ignore(Signal::PIPE);
    OomProtection::take()
}

/// All that is made before the engine hears of the container.
struct Made {
    container: Container,
    streams: Streams,
    log: Option<JsonLog>,
    listener: OwnedFd,
    state: TaskState,
    netns: OwnedFd,
}

impl Made {
    fn new(bundle: &Bundle, shim: ProcessId, oom: &OomProtection) -> Result<Self> {
        bundle.announce(shim)?;
        failpoint("shim.announced");
        redirect_stderr(bundle)?;
        let log = bundle.task.log.as_deref().map(JsonLog::open).transpose()?;
        let listener = listen(bundle)?;
        let (container, streams) = create(bundle, &bundle.spec()?, oom)?;
        failpoint("shim.created");
        let state = TaskState {
            id: bundle.task.id.clone(),
            status: TaskStatus::Created,
            shim,
            init: identity(&container),
            started_at: None,
            restarts: 0,
            exit: None,
        };
        let netns = container.netns().try_clone_to_owned();
        let netns = netns.map_err(|error| Error::io("cannot hold the container's network namespace", error));
        match bundle.record(&state).and(netns) {
            Ok(netns) => Ok(Self { container, streams, log, listener, state, netns }),
            Err(error) => {
                container.delete()?;
                Err(error)
            }
        }
    }

    /// Tells the engine.
    fn into_task(self, bundle: Bundle, mut origin: Connection, oom: OomProtection) -> Task {
        let Self { container, streams, log, listener, state, netns } = self;
        let warnings = container.warnings().to_vec();
        origin.send(&Reply::Created { init: state.init, warnings }, vec![netns]);
        Task {
            bundle,
            state,
            container: Some(container),
            streams,
            log,
            attachers: Vec::new(),
            listener,
            connections: vec![origin],
            connected: 0,
            accept_at: None,
            execs: Default::default(),
            exec_count: 0,
            stopping: false,
            kill_at: None,
            restarts: Restarts::default(),
            cleaned: false,
            oom,
            buffer: vec![0; CHUNK],
        }
    }
}

/// Makes the container, and the streams that belong to it.
pub(super) fn create(bundle: &Bundle, spec: &Spec, oom: &OomProtection) -> Result<(Container, Streams)> {
    let (mut streams, stdio) = Streams::open(&bundle.task, spec)?;
    let description = sampan_runtime::Bundle {
        id: bundle.task.id.as_str(),
        spec,
        path: &bundle.path,
        rootfs: Rootfs::Mount(&bundle.task.rootfs),
    };
    let options = Options { die_with_parent: true, delegate_cgroup: bundle.task.system };
    let mut container = oom.lifted(|| sampan_runtime::create(description, stdio, options))?;
    match container.take_console().map(|master| streams.connect_console(master)) {
        None | Some(Ok(())) => Ok((container, streams)),
        Some(Err(error)) => {
            container.delete()?;
            Err(error)
        }
    }
}

/// Init's process.
pub(super) fn identity(container: &Container) -> ProcessId {
    ProcessId { pid: container.pid(), start: container.start_time() }
}

/// What goes wrong from now on and cannot be told to a client stands in the bundle.
fn redirect_stderr(bundle: &Bundle) -> Result<()> {
    let path = bundle.shim_log();
    let failed = |error| Error::io(format!("cannot open {}", path.display()), error);
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(failed)?;
    rustix::stdio::dup2_stderr(&file).map_err(|errno| failed(errno.into()))
}

/// Listens on `shim.sock`, which only its owner may connect to.
fn listen(bundle: &Bundle) -> Result<OwnedFd> {
    let path = bundle.socket();
    let bound = || -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // The path of a socket is limited to 107 bytes (unix(7)); the bundle's may be longer, its descriptor's is not.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&bundle.path, flags, Mode::empty())?;
        let short = format!("/proc/self/fd/{}/shim.sock", directory.as_raw_fd());
        let mask = rustix::process::umask(Mode::from_raw_mode(0o177));
        let result = rustix::net::bind(&socket, &SocketAddrUnix::new(short)?);
        rustix::process::umask(mask);
        result?;
        rustix::net::listen(&socket, 128)?;
        Ok(socket)
    };
    bound().map_err(|error| Error::io(format!("cannot listen on {}", path.display()), error))
}

/// Tells the engine that there is no container, and gives it the chance to tidy: it speaks with this shim as with one
/// whose container has ended.
fn refuse(bundle: &Bundle, shim: ProcessId, origin: &OwnedFd, error: &Error) -> Result<ExitCode> {
    let exit = exit::failure(error, None);
    let mut answer = tell(origin, error);
    let mut cleaned = false;
    while answer.is_ok() && !cleaned {
        let Ok(Some(frame)) = channel::recv(origin) else { break };
        answer = match serde_json::from_slice(&frame.bytes) {
            Ok(Request::Cleaned) => {
                cleaned = true;
                Ok(())
            }
            Ok(Request::Wait { .. }) => reply(origin, &Reply::Exited { exec: None, exit: exit.clone() }),
            Ok(Request::Stop { .. }) => reply(origin, &Reply::Done),
            Ok(_) | Err(_) => tell(origin, error),
        };
    }
    match bundle.task.on_exit.split_first() {
        Some((program, arguments)) if !cleaned => Err(become_program(program, arguments)),
        _ => {
            bundle.retire(shim);
            Ok(ExitCode::FAILURE)
        }
    }
}

fn tell(origin: &OwnedFd, error: &Error) -> Result<()> {
    reply(origin, &Reply::Failed(Failure::from(error)))
}

fn reply(origin: &OwnedFd, reply: &Reply) -> Result<()> {
    let failed = |error: io::Error| Error::io("cannot answer on the control socket", error);
    let json = serde_json::to_vec(reply).map_err(|error| failed(error.into()))?;
    channel::send(origin, &json, &[]).map_err(failed)
}
