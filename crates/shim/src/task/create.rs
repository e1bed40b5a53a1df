//! From a bundle to a container at its *created* point.

use super::{
    CHUNK, Task,
    independence::{control_socket, leave_caller, listen, redirect_stderr},
    refuse::{refuse, tell},
};
use crate::{
    bundle::Bundle, connection::Connection, json_log::JsonLog, oom::OomProtection, restarts::Restarts,
    streams::Streams,
};
use rustix::fd::OwnedFd;
use sampan_runtime::{Container, Options, Rootfs};
use sampan_sys::{failpoint, process::start_time};
use sampan_types::{
    Error, Result,
    spec::Spec,
    task::{ProcessId, Reply, TaskState, TaskStatus},
};
use std::{path::Path, process::ExitCode};

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

/// All that is made before the engine hears of the container.
struct Made {
    container: Container,
    streams: Streams,
    log: Option<JsonLog>,
    listener: OwnedFd,
    state: TaskState,
    held: Held,
}

/// Init's namespaces that outlive it when it reboots, so that ids and addresses stay.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) netns: OwnedFd,
    /// `None` where it is the shim's own.
    pub(super) userns: Option<OwnedFd>,
}

impl Held {
    fn of(container: &Container) -> Result<Self> {
        Ok(Self { netns: container.netns()?, userns: container.userns()? })
    }
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
        match bundle.record(&state).and_then(|()| Held::of(&container)) {
            Ok(held) => Ok(Self { container, streams, log, listener, state, held }),
            Err(error) => {
                container.delete()?;
                Err(error)
            }
        }
    }

    /// Tells the engine.
    fn into_task(self, bundle: Bundle, mut origin: Connection, oom: OomProtection) -> Task {
        let Self { container, streams, log, listener, state, held } = self;
        let warnings = container.warnings().to_vec();
        // A copy that cannot be made is missed by the engine, which then undoes all this.
        let netns = held.netns.try_clone().into_iter().collect();
        origin.send(&Reply::Created { init: state.init, warnings }, netns);
        Task {
            bundle,
            state,
            held,
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
    let options =
        Options { die_with_parent: true, delegate_cgroup: bundle.task.system, ..Options::default() };
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
