//! An engine of its own for each test.

use crate::{Said, leaks, places, store, within};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A root and a run directory with images in them. At its end all containers are removed, and nothing may be left of it
/// on the host.
pub struct Sandbox {
    folder: tempfile::TempDir,
    /// On tmpfs where `/run` is one; short, since sockets' paths are limited to 107 bytes (unix(7)).
    run: tempfile::TempDir,
    check: bool,
}

impl Sandbox {
    /// An engine that has the image `busybox`.
    #[track_caller]
    pub fn new() -> Self {
        Self::with("busybox")
    }

    /// An engine that has the image `debian`: the packages that every Debian has, no init.
    #[track_caller]
    pub fn debian() -> Self {
        Self::with("debian")
    }

    /// An engine that has the image `machine`: Debian with systemd, cron and sshd.
    #[track_caller]
    pub fn machine() -> Self {
        Self::with("machine")
    }

    #[track_caller]
    fn with(images: &str) -> Self {
        let folder = new_folder(Path::new("/var/tmp/sampan-tests"));
        let run = new_folder(Path::new("/run/sampan-tests"));
        store::clone(&places::images(images), &folder.path().join("root"));
        Self { folder, run, check: true }
    }

    /// The engine's root.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The engine's run directory.
    pub fn run_dir(&self) -> &Path {
        self.run.path()
    }

    /// A folder for a test's own files, deleted with the sandbox.
    pub fn files(&self) -> PathBuf {
        let files = self.folder.path().join("files");
        std::fs::create_dir_all(&files).expect("a folder for files can be made");
        files
    }

    /// A call of `sampan` on this engine, not yet started.
    pub fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(places::program());
        command.arg("--root").arg(self.root()).arg("--run").arg(self.run.path()).args(words);
        command.stdin(Stdio::null());
        command
    }

    /// Runs `sampan` with words separated by white space.
    pub fn sampan(&self, line: &str) -> Said {
        self.words(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `sampan` with these words.
    pub fn words(&self, words: &[&str]) -> Said {
        Said::of(&mut self.command(words))
    }

    /// Runs a shell line in a new container of busybox, without network, that is removed afterwards.
    pub fn sh(&self, line: &str) -> Said {
        self.words(&["run", "--rm", "--network", "none", "busybox", "sh", "-c", line])
    }

    /// Starts a busybox container in the background that lives until it is stopped.
    #[track_caller]
    pub fn sleeper(&self, name: &str, options: &str) {
        let line = format!("run -d --name {name} {options} busybox sleep 3600");
        self.sampan(&line).code(0);
    }

    /// What `sampan inspect` says of one container.
    #[track_caller]
    pub fn inspect(&self, name: &str) -> Value {
        let text = self.words(&["inspect", name]).ok();
        let mut list: Value = serde_json::from_str(&text).expect("inspect prints JSON");
        list[0].take()
    }

    /// `running`, `exited` or `created`.
    #[track_caller]
    pub fn state(&self, name: &str) -> String {
        self.inspect(name)["State"]["Status"].as_str().expect("a state").to_owned()
    }

    /// The container's IPv4 address.
    #[track_caller]
    pub fn address(&self, name: &str) -> String {
        let details = self.inspect(name);
        let address = details["NetworkSettings"]["IPAddress"].as_str().unwrap_or_default().to_owned();
        assert!(!address.is_empty(), "{name} has no address: {details:#}");
        address
    }

    /// The container's first process.
    #[track_caller]
    pub fn pid(&self, name: &str) -> i32 {
        let details = self.inspect(name);
        let pid = details["State"]["Pid"].as_i64().unwrap_or(0);
        assert!(pid > 0, "{name} does not run: {details:#}");
        i32::try_from(pid).expect("a process number")
    }

    /// Waits until a container has this state.
    #[track_caller]
    pub fn until_state(&self, name: &str, state: &str) {
        within(20, &format!("{name} is {state}"), || (self.state(name) == state).then_some(()));
    }

    /// Launches a system container and waits until its systemd has started everything it could.
    #[track_caller]
    pub fn launch(&self, name: &str, options: &str) {
        self.sampan(&format!("launch {options} machine {name}")).code(0);
        self.until_booted(name);
    }

    /// Waits until systemd in a system container says that it is up.
    #[track_caller]
    pub fn until_booted(&self, name: &str) {
        within(60, &format!("{name} has booted"), || {
            let said = self.words(&["exec", name, "systemctl", "is-system-running"]);
            matches!(said.out.trim(), "running" | "degraded").then_some(())
        });
    }

    /// Gives up the check for leaks: the test breaks the sandbox on purpose.
    pub fn unchecked(mut self) -> Self {
        self.check = false;
        self
    }

    /// Removes every container, forcibly.
    pub fn remove_all(&self) -> Said {
        let ids = self.sampan("ps -aq").out;
        let words: Vec<&str> = ["rm", "-f"].into_iter().chain(ids.split_whitespace()).collect();
        if words.len() == 2 { self.sampan("ps -aq") } else { self.words(&words) }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let removed = self.remove_all();
        let shut_down = self.sampan("shutdown");
        let left = leaks::left_after_shutdown(&self.root(), self.run.path());
        // A second panic would hide the first.
        if self.check && !std::thread::panicking() {
            assert_eq!(removed.code, 0, "cannot remove the containers of the sandbox: {removed}");
            assert_eq!(shut_down.code, 0, "cannot shut the sandbox's engine down: {shut_down}");
            assert!(left.is_empty(), "the sandbox left behind:\n{}", left.join("\n"));
        }
    }
}

/// A new folder of a short name, reachable by everybody, below `parent`.
fn new_folder(parent: &Path) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(parent).expect("the folder for sandboxes can be made (tests run as root)");
    let folder = tempfile::Builder::new().prefix("").rand_bytes(6).tempdir_in(parent).expect("a new folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
        .expect("its rights can be set");
    folder
}
