//! A bundle, the verb under test, and a look at what is left of it.

use std::{
    fs,
    io::Read,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// How long a run may take under strace on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run said.
pub(crate) struct Said {
    pub(crate) succeeded: bool,
    pub(crate) timed_out: bool,
    pub(crate) stderr: String,
}

/// A run and what it left.
pub(crate) struct Verdict {
    pub(crate) said: Said,
    pub(crate) leftovers: Vec<String>,
}

/// One verb, with a root file system that all its runs share.
pub(crate) struct Scene {
    directory: tempfile::TempDir,
    verb: String,
    runtime: PathBuf,
    runs: AtomicUsize,
}

/// One run: a container's id, state directory, bundle.
struct Run {
    id: String,
    root: PathBuf,
    bundle: PathBuf,
}

impl Scene {
    pub(crate) fn new(verb: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("sampan-faults-").tempdir_in("/var/tmp").unwrap();
        let rootfs = directory.path().join("rootfs");
        for folder in ["bin", "dev", "proc", "sys", "etc", "tmp"] {
            fs::create_dir_all(rootfs.join(folder)).unwrap();
        }
        fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
        for name in ["sh", "true", "sleep"] {
            symlink("busybox", rootfs.join("bin").join(name)).unwrap();
        }
        let runtime = directory.path().join("sampan-runc");
        symlink(shim(), &runtime).unwrap();
        Self { directory, verb: verb.to_owned(), runtime, runs: AtomicUsize::new(0) }
    }

    /// All calls of a run without a fault.
    pub(crate) fn trace(&self) -> String {
        let run = self.begin();
        let out = self.directory.path().join("trace");
        let said = self.act(&run, &["-o", out.to_str().unwrap()]);
        assert!(said.succeeded, "{} without a fault: {}", self.verb, said.stderr);
        self.delete(&run);
        assert_eq!(run.leftovers(), Vec::<String>::new());
        fs::read_to_string(out).unwrap()
    }

    /// A run in which one call fails.
    pub(crate) fn run_with(&self, fault: &str) -> Verdict {
        let run = self.begin();
        let said = self.act(&run, &["-e", &format!("inject={fault}"), "-o", "/dev/null"]);
        // What was made is there rightly; an exec leaves the container it was made in.
        if said.succeeded || self.verb == "exec" {
            self.delete(&run);
        }
        Verdict { said, leftovers: run.leftovers() }
    }

    /// The same, with the removal that comes after a failure.
    pub(crate) fn left_after_delete(&self, fault: &str) -> Vec<String> {
        let run = self.begin();
        self.act(&run, &["-e", &format!("inject={fault}"), "-o", "/dev/null"]);
        self.delete(&run);
        run.leftovers()
    }

    /// What the verb needs before it.
    fn begin(&self) -> Run {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let id = format!("faults-{}-{}-{number}", self.verb, std::process::id());
        let root = self.directory.path().join(format!("root-{number}"));
        let bundle = self.directory.path().join(format!("bundle-{number}"));
        fs::create_dir(&bundle).unwrap();
        let run = Run { id, root, bundle };
        let spec = said(self.runtime(&run).args(["spec", "--bundle"]).arg(&run.bundle));
        assert!(spec.succeeded, "{}", spec.stderr);
        let config = run.bundle.join("config.json");
        let mut spec: serde_json::Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        spec["root"]["path"] = self.directory.path().join("rootfs").to_str().unwrap().into();
        spec["process"]["terminal"] = false.into();
        spec["process"]["args"] = if self.verb == "exec" {
            serde_json::json!(["sleep", "1000"])
        } else {
            serde_json::json!(["true"])
        };
        spec["linux"]["cgroupsPath"] = format!("/sampan-faults/{}", run.id).into();
        fs::write(config, spec.to_string()).unwrap();
        if self.verb == "exec" {
            let began =
                said(self.runtime(&run).args(["run", "--detach", "--bundle"]).arg(&run.bundle).arg(&run.id));
            assert!(began.succeeded, "{}", began.stderr);
        }
        run
    }

    fn runtime(&self, run: &Run) -> Command {
        let mut command = Command::new(&self.runtime);
        command.arg("--root").arg(&run.root);
        command
    }

    /// The verb itself, under strace.
    fn act(&self, run: &Run, words: &[&str]) -> Said {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq"]).args(words).arg(&self.runtime).arg("--root").arg(&run.root);
        match self.verb.as_str() {
            "exec" => command.args(["exec", &run.id, "true"]),
            "detach" => command.args(["run", "--detach", "--bundle"]).arg(&run.bundle).arg(&run.id),
            verb => command.args([verb, "--bundle"]).arg(&run.bundle).arg(&run.id),
        };
        said(&mut command)
    }

    fn delete(&self, run: &Run) {
        said(self.runtime(run).args(["delete", "--force", &run.id]));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for hierarchy in hierarchies() {
            // The group above those of all runs; another test's may be in it still.
            let _ = fs::remove_dir(hierarchy.join("sampan-faults"));
        }
    }
}

impl Run {
    /// Control groups, state, processes and mounts of this run.
    fn leftovers(&self) -> Vec<String> {
        let groups =
            hierarchies().into_iter().map(|hierarchy| hierarchy.join("sampan-faults").join(&self.id));
        let state = [self.root.join(&self.id)];
        let mut left: Vec<String> =
            groups.chain(state).filter(|path| path.exists()).map(|path| path.display().to_string()).collect();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        left.extend(mounts.lines().filter(|line| line.contains(&self.id)).map(str::to_owned));
        left
    }
}

fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_path_buf()];
    }
    fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

/// The program under test: `SAMPAN_SHIM`, or the one built beside this one.
fn shim() -> PathBuf {
    if let Some(path) = std::env::var_os("SAMPAN_SHIM") {
        return path.into();
    }
    let own = std::env::current_exe().unwrap();
    let path = own.parent().and_then(Path::parent).unwrap().join("sampan-shim");
    assert!(path.is_file(), "{} is not there: cargo build -p sampan-shim", path.display());
    path
}

/// Runs a command to its end or to the end of patience, then ends its whole process group.
fn said(command: &mut Command) -> Said {
    use std::os::unix::process::CommandExt as _;
    let stderr = tempfile::tempfile().unwrap();
    let mut reader = stderr.try_clone().unwrap();
    let mut child = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
    let start = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if start.elapsed() > PATIENCE => break None,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    if status.is_none() {
        let group = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        child.wait().unwrap();
    }
    let mut text = String::new();
    std::io::Seek::rewind(&mut reader).unwrap();
    reader.read_to_string(&mut text).unwrap();
    Said {
        succeeded: status.is_some_and(|status| status.success()),
        timed_out: status.is_none(),
        stderr: text,
    }
}
