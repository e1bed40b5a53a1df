//! Init's end: a reboot, or the end of the task.

use super::{Task, create, rest};
use crate::{
    complain,
    exit::{self, Ended, Meaning},
};
use rustix::{
    fd::{AsRawFd as _, OwnedFd},
    process::Signal,
};
use sampan_runtime::Container;
use sampan_sys::failpoint;
use sampan_types::{
    Error, ErrorKind, ExitRecord, Result,
    spec::{NamespaceKind, Spec},
    task::{Reply, TaskStatus},
};
use std::time::{Instant, SystemTime};

impl Task {
    /// Init has ended, perhaps.
    pub(super) fn init_ready(&mut self) {
        let Some(ended) = self.container.as_ref().and_then(Container::pidfd).and_then(Ended::reap) else {
            return;
        };
        failpoint("shim.exited");
        let started_at = self.state.started_at;
        match ended.meaning(self.bundle.task.system) {
            Meaning::Over(code) => self.end(exit::record(code, started_at)),
            Meaning::Reboot if self.stopping => self.end(exit::record(0, started_at)),
            Meaning::Reboot => {
                if let Err(error) = self.reboot() {
                    self.end(exit::failure(&error, started_at));
                }
                rest();
            }
        }
    }

    /// Kills init; with it dies everything in its process id namespace (`pid_namespaces(7)`).
    pub(super) fn kill_init(&self) {
        if let Some(container) = &self.container {
            // Fails only when init has ended, which is seen by its descriptor.
            let _ = container.kill(Signal::KILL);
        }
    }

    /// Runs the program of the *created* container; gives the time.
    pub(super) fn start_init(&mut self) -> Result<SystemTime> {
        let Some(container) = &mut self.container else {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("cannot start container {}", self.state.id.short()),
            )
            .because("it has ended"));
        };
        failpoint("shim.before_start");
        container.start()?;
        failpoint("shim.after_start");
        let now = SystemTime::now();
        self.state.started_at = Some(now);
        self.state.status = TaskStatus::Running;
        self.record()?;
        Ok(now)
    }

    /// Starts init again, in the user and network namespaces it had, so that ids and addresses stay. Clients stay
    /// attached; pipes and terminal are new.
    fn reboot(&mut self) -> Result<()> {
        let what = || format!("cannot reboot container {}", self.state.id.short());
        if !self.restarts.allow(Instant::now()) {
            return Err(Error::new(ErrorKind::Internal, what())
                .because("it has rebooted more than 5 times within 10 seconds")
                .hint("read its log: sampan logs"));
        }
        let Some(container) = self.container.take() else { return Ok(()) };
        if let Some(hook) = container.delete()? {
            complain(&hook);
        }
        self.drain_outputs();
        let mut spec = self.bundle.spec()?;
        keep_namespace(&mut spec, NamespaceKind::Network, &self.held.netns);
        if let Some(userns) = &self.held.userns {
            keep_namespace(&mut spec, NamespaceKind::User, userns);
        }
        let (container, streams) = create::create(&self.bundle, &spec, &self.oom)?;
        self.state.init = create::identity(&container);
        self.state.restarts += 1;
        self.container = Some(container);
        self.streams = streams;
        self.start_init()?;
        Ok(())
    }

    /// The task is over: everything in the container is killed, its control group removed, the output read to its end,
    /// the exit recorded and told to those who wait.
    pub(super) fn end(&mut self, mut exit: ExitRecord) {
        if let Some(container) = self.container.take() {
            exit.oom_killed = container.cgroup().oom_killed().unwrap_or_else(|error| {
                complain(&error);
                false
            });
            if let Some(error) = container.delete().unwrap_or_else(Some) {
                complain(&error);
            }
        }
        self.drain_outputs();
        if let Some(log) = &mut self.log {
            log.finish(SystemTime::now());
        }
        self.streams.input.close();
        self.refuse_input_after_its_end();
        self.attachers.iter_mut().for_each(|attacher| attacher.end());
        self.kill_at = None;
        self.state.status = TaskStatus::Stopped;
        self.state.exit = Some(exit.clone());
        self.record().unwrap_or_else(|error| complain(&error));
        let never_ran = self.state.started_at.is_none();
        for connection in &mut self.connections {
            // The engine that is starting this container undoes that itself.
            connection.cleans |= never_ran && connection.is_origin;
            if connection.waits {
                connection.send(&Reply::Exited { exec: None, exit: exit.clone() }, Vec::new());
            }
        }
    }

    /// An exec has ended, perhaps; its client hears of it.
    pub(super) fn exec_ready(&mut self, number: u32) {
        let Some((ended, exec)) = self.execs.get(&number).and_then(|exec| Some((exec.ended()?, exec))) else {
            return;
        };
        let exit = exit::record(ended.code(), Some(exec.started_at));
        let client = exec.connection;
        self.execs.remove(&number);
        for connection in self.connections.iter_mut().filter(|connection| connection.number == client) {
            connection.send(&Reply::Exited { exec: Some(number), exit: exit.clone() }, Vec::new());
        }
    }

    /// Writes the task's facts.
    fn record(&self) -> Result<()> {
        failpoint("shim.before_state");
        self.bundle.record(&self.state)
    }
}

/// Joins a namespace that is held here in place of a new one. The process number instead of `self`: whoever opens the
/// path may be a child.
fn keep_namespace(spec: &mut Spec, kind: NamespaceKind, held: &OwnedFd) {
    let namespaces = spec.linux.iter_mut().flat_map(|linux| &mut linux.namespaces);
    for namespace in namespaces.filter(|namespace| namespace.kind == kind && namespace.path.is_none()) {
        namespace.path = Some(format!("/proc/{}/fd/{}", std::process::id(), held.as_raw_fd()).into());
    }
}
