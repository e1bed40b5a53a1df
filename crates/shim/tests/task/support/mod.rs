//! Bundles, shims and clients for tests.

mod client;
mod rootfs;

pub(crate) use client::{Client, Frames, read_all};

use rustix::process::{WaitId, WaitIdOptions, waitid};
use sampan_sys::spawn::Executable;
use sampan_types::{
    ContainerId, Mount,
    spec::{IdMapping, Linux, Namespace, NamespaceKind, Process, Root, Spec},
    task::{ProcessId, Reply, Request, TaskConfig, TaskState},
};
use std::{
    ffi::CString,
    fs,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// Longer than anything here takes, so that a hang is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A run directory with one bundle.
pub(crate) struct Setup {
    pub(crate) run: tempfile::TempDir,
    pub(crate) id: ContainerId,
    pub(crate) spec: Spec,
    pub(crate) task: TaskConfig,
    pub(crate) failpoint: Option<&'static str>,
    /// Without `config.json`.
    pub(crate) damaged: bool,
}

/// A shim that runs.
pub(crate) struct Shim {
    pub(crate) run: tempfile::TempDir,
    pub(crate) bundle: PathBuf,
    pub(crate) client: Client,
    pub(crate) pid: i32,
    pidfd: OwnedFd,
    reaped: bool,
}

impl Setup {
    /// A container that runs a shell script.
    pub(crate) fn shell(script: &str) -> Self {
        Self::command(&["/bin/sh", "-c", script])
    }

    /// A container that runs a command, without terminal and stdin.
    pub(crate) fn command(args: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut bytes = [0xc0; 32];
        bytes[..4].copy_from_slice(&std::process::id().to_be_bytes());
        bytes[4..8].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let id = ContainerId::from_bytes(bytes);
        let run = tempfile::tempdir().unwrap();
        let rootfs = run.path().join("rootfs");
        rootfs::make(&rootfs);
        let task = TaskConfig {
            id: id.clone(),
            rootfs: Mount::Bind { source: rootfs, read_only: false },
            system: false,
            stdin_open: false,
            stdin_once: false,
            log: Some(run.path().join("log.json")),
            console_size: None,
            on_exit: Vec::new(),
        };
        let spec = spec(process(args), &id);
        Self { run, id, spec, task, failpoint: None, damaged: false }
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.spec.process.as_mut().unwrap()
    }

    /// With a terminal.
    pub(crate) fn terminal(mut self) -> Self {
        self.process().terminal = true;
        self
    }

    /// With an open stdin.
    pub(crate) fn stdin(mut self) -> Self {
        self.task.stdin_open = true;
        self
    }

    /// With ids of its own.
    pub(crate) fn own_ids(mut self) -> Self {
        let map = vec![IdMapping { container_id: 0, host_id: 1_000_000, size: 65_536 }];
        let linux = self.spec.linux.as_mut().unwrap();
        linux.namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
        (linux.uid_mappings, linux.gid_mappings) = (map.clone(), map);
        self
    }

    /// With its root as the lower layer of a union.
    pub(crate) fn overlay(mut self) -> Self {
        let [upper, work] = ["upper", "work"].map(|name| self.run.path().join(name));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        let lower = vec![self.run.path().join("rootfs")];
        self.task.rootfs = Mount::Overlay { lower, upper: Some(upper), work: Some(work) };
        self
    }

    /// A marker that `on_exit` makes.
    pub(crate) fn on_exit_marker(&mut self) -> PathBuf {
        let marker = self.run.path().join("on_exit_ran");
        self.task.on_exit = vec!["/bin/touch".to_owned(), marker.display().to_string()];
        marker
    }

    /// Starts the shim; nothing has been read from it.
    pub(crate) fn spawn(self) -> Shim {
        let bundle = self.run.path().join("containers").join(self.id.as_str());
        fs::create_dir_all(&bundle).unwrap();
        if !self.damaged {
            fs::write(bundle.join("config.json"), serde_json::to_vec(&self.spec).unwrap()).unwrap();
        }
        fs::write(bundle.join("task.json"), serde_json::to_vec(&self.task).unwrap()).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let argv = ["sampan-shim", "task", bundle.to_str().unwrap()].map(|text| CString::new(text).unwrap());
        let failpoint = self.failpoint.map(|name| CString::new(format!("SAMPAN_FAILPOINT={name}")).unwrap());
        let envp: Vec<_> = failpoint.into_iter().collect();
        let program = Executable::open(Path::new(env!("CARGO_BIN_EXE_sampan-shim"))).unwrap();
        let child = program.spawn(&argv, &envp, theirs.as_fd()).unwrap();
        let client = Client::new(ours.into());
        Shim { run: self.run, bundle, client, pid: child.pid, pidfd: child.pidfd, reaped: false }
    }

    /// Starts the shim and hears that the container is created.
    pub(crate) fn create(self) -> Shim {
        let mut shim = self.spawn();
        match shim.client.reply() {
            (Reply::Created { .. }, fds) => assert_eq!(fds.len(), 1, "a network namespace"),
            (reply, _) => panic!("not created: {reply:?}\n{}", shim.own_log()),
        }
        shim
    }
}

impl Shim {
    /// A second client.
    pub(crate) fn connect(&self) -> Client {
        Client::new(UnixStream::connect(self.bundle.join("shim.sock")).unwrap().into())
    }

    /// Attaches, waits, starts: what `run` in the foreground does. Gives the attached socket.
    pub(crate) fn start_attached(&mut self, stdin: bool) -> UnixStream {
        let stream = self.client.attach(stdin);
        self.start();
        stream
    }

    /// Asks for the exit and starts.
    pub(crate) fn start(&mut self) {
        self.client.send(&Request::Wait { cleans: false }, &[]);
        self.client.send(&Request::Start, &[]);
        let (reply, _) = self.client.reply();
        assert!(matches!(reply, Reply::Started { .. }), "{reply:?}");
    }

    pub(crate) fn state(&self) -> TaskState {
        serde_json::from_slice(&fs::read(self.bundle.join("state.json")).unwrap()).unwrap()
    }

    /// Entries of the log: stream and text.
    pub(crate) fn log(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.run.path().join("log.json")).unwrap();
        let entries = text.lines().map(|line| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            let field = |name: &str| entry[name].as_str().unwrap().to_owned();
            (field("stream"), field("log"))
        });
        entries.collect()
    }

    /// What the shim complained of.
    pub(crate) fn own_log(&self) -> String {
        fs::read_to_string(self.bundle.join("shim.log")).unwrap_or_default()
    }

    /// The entry by which a sweep finds this shim.
    pub(crate) fn entry(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.run.path().join("shims")).ok()?;
        let mut names = entries.map(|entry| entry.unwrap().path());
        names.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{}-", self.pid)))
    }

    /// Waits until the shim (or `on_exit` in its place) has ended; gives its exit status, -1 after a signal.
    pub(crate) fn ended(&mut self) -> i32 {
        wait_readable(&self.pidfd);
        self.reaped = true;
        let status = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap().unwrap();
        status.exit_status().unwrap_or(-1)
    }

    /// Directories of its control group, in all hierarchies.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let name = format!("sampan-shim-test-{}", self.bundle.file_name().unwrap().to_str().unwrap());
        let top = Path::new("/sys/fs/cgroup");
        let hierarchies = fs::read_dir(top).unwrap().map(|entry| entry.unwrap().path());
        hierarchies
            .chain([top.to_owned()])
            .map(|path| path.join(&name))
            .filter(|path| path.exists())
            .collect()
    }

    pub(crate) fn kill(&self) {
        sampan_sys::pidfd::send_signal(&self.pidfd, 9).unwrap();
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            self.ended();
        }
        // What the engine's sweep does after a shim that was killed: its container is dying.
        let start = Instant::now();
        for path in self.cgroups() {
            while fs::remove_dir(&path).is_err() && start.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// A process as tests need it: root with a few capabilities.
pub(crate) fn process(args: &[&str]) -> Process {
    let names = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_BOOT"];
    let set: Vec<String> = names.map(str::to_owned).to_vec();
    Process {
        args: args.iter().map(|text| (*text).to_owned()).collect(),
        env: vec!["PATH=/bin".to_owned(), "TERM=linux".to_owned()],
        cwd: "/".to_owned(),
        capabilities: Some(sampan_types::spec::Capabilities {
            bounding: set.clone(),
            effective: set.clone(),
            permitted: set,
            ..Default::default()
        }),
        ..Process::default()
    }
}

fn spec(process: Process, id: &ContainerId) -> Spec {
    use NamespaceKind::{Ipc, Mount, Network, Pid, Uts};
    let namespaces = [Pid, Mount, Ipc, Uts, Network].map(|kind| Namespace { kind, path: None });
    Spec {
        oci_version: "1.3.0".to_owned(),
        root: Some(Root { path: "rootfs".into(), readonly: false }),
        mounts: rootfs::mounts(),
        process: Some(process),
        linux: Some(Linux {
            namespaces: namespaces.to_vec(),
            cgroups_path: Some(format!("/sampan-shim-test-{id}")),
            ..Linux::default()
        }),
        ..Spec::default()
    }
}

/// Waits for a descriptor, not for ever.
pub(crate) fn wait_readable(fd: impl AsFd) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
    let patience = Timespec::try_from(PATIENCE).unwrap();
    assert_eq!(poll(&mut fds, Some(&patience)).unwrap(), 1, "nothing came within {PATIENCE:?}");
}

/// Waits until something is true, not for ever.
pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process still runs (a zombie does not).
pub(crate) fn is_alive(process: ProcessId) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", process.pid)) else { return false };
    let state = stat.rsplit_once(") ").unwrap().1.chars().next();
    state != Some('Z')
        && sampan_sys::process::start_time(process.pid).is_ok_and(|start| start == process.start)
}
