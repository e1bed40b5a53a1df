//! A bundle with busybox and a state directory, for one container.

use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// Longer than anything here takes, so that a hang is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const APPLETS: [&str; 16] = [
    "sh", "cat", "echo", "sleep", "true", "stty", "tty", "kill", "ls", "head", "trap", "printf", "env",
    "touch", "readlink", "usleep",
];

/// One container to be; what is left of it goes with it.
pub(crate) struct Bundle {
    pub(crate) base: tempfile::TempDir,
    pub(crate) id: String,
    pub(crate) config: Value,
}

impl Bundle {
    /// A container that runs a script.
    pub(crate) fn shell(script: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!("shim-oci-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let base = tempfile::tempdir().unwrap();
        let rootfs = base.path().join("rootfs");
        for folder in ["bin", "proc", "dev", "sys", "tmp", "run"] {
            fs::create_dir_all(rootfs.join(folder)).unwrap();
        }
        fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
        }
        let kinds = ["pid", "mount", "ipc", "uts", "network"];
        let config = json!({
            "ociVersion": "1.0.2",
            "root": { "path": "rootfs" },
            "process": {
                "args": ["sh", "-c", script],
                "cwd": "/",
                "env": ["PATH=/bin"],
                "user": { "uid": 0, "gid": 0 },
            },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"] },
                { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                  "options": ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
            ],
            "linux": {
                "cgroupsPath": format!("/{id}"),
                "namespaces": kinds.map(|kind| json!({ "type": kind })),
            },
        });
        Self { base, id, config }
    }

    /// A command of the runtime with these words; `$ID` stands for the container.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.write();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sampan-shim"));
        command.args(["oci", "--root"]).arg(self.base.path().join("state"));
        for word in words {
            command.arg(if *word == "$ID" { self.id.as_str() } else { word });
        }
        command.current_dir(self.base.path()).stdin(Stdio::null());
        for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
            command.env_remove(name);
        }
        command
    }

    fn write(&self) {
        let (path, text) = (self.base.path().join("config.json"), self.config.to_string());
        // A command of before may be reading it.
        if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
            fs::write(path, text).unwrap();
        }
    }

    /// Runs a command to its end. Its output goes to files, since a container may hold on to pipes.
    #[track_caller]
    pub(crate) fn ends(&self, mut command: Command) -> Output {
        let path = |name: &str| self.base.path().join(name);
        let (out, err) = (fs::File::create(path("out")).unwrap(), fs::File::create(path("err")).unwrap());
        let mut child = command.stdout(out).stderr(err).spawn().unwrap();
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{command:?} does not end");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Output { status, stdout: fs::read(path("out")).unwrap(), stderr: fs::read(path("err")).unwrap() }
    }

    /// Runs these words; gives code, output and errors.
    #[track_caller]
    pub(crate) fn call(&self, words: &[&str]) -> (i32, String, String) {
        let output = self.ends(self.command(words));
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// As [`Self::call`], and it succeeds.
    #[track_caller]
    pub(crate) fn succeeds(&self, words: &[&str]) -> String {
        let (code, out, err) = self.call(words);
        assert_eq!(code, 0, "{words:?}: {out}{err}");
        out
    }

    /// The container's status, `""` where there is none.
    pub(crate) fn status(&self) -> String {
        let (code, out, _) = self.call(&["state", "$ID"]);
        if code != 0 {
            return String::new();
        }
        serde_json::from_str::<Value>(&out).unwrap()["status"].as_str().unwrap().to_owned()
    }

    /// A path in the container's root, on the host.
    pub(crate) fn inside(&self, path: &str) -> PathBuf {
        self.base.path().join("rootfs").join(path)
    }

    /// Directories of control groups that are left.
    pub(crate) fn groups(&self) -> Vec<PathBuf> {
        let top = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path().join(&self.id));
        top.chain([PathBuf::from("/sys/fs/cgroup").join(&self.id)]).filter(|path| path.exists()).collect()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let output = self.command(&["delete", "--force", "$ID"]).output().unwrap();
        if !std::thread::panicking() {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(!self.base.path().join("state").join(&self.id).exists(), "its state is left");
            assert_eq!(self.groups(), Vec::<PathBuf>::new(), "control groups are left");
        }
    }
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
