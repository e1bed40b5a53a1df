//! One case: a bundle, a state directory and a control group of its own.

use super::{bundle, call, config, leftovers, runtime};
use sampan_tests::{Said, within};
use serde_json::Value;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// A container to be, and everything it needs. When the case ends its containers are deleted, and nothing may be left: no mount, control group,
/// process or state.
pub(crate) struct Case {
    /// What stands in `config.json`: change it before the first call that reads it.
    pub(crate) config: Value,
    id: String,
    base: TempDir,
    calls: AtomicU32,
}

impl Case {
    /// A case whose container would run `true`.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("oci{}-{number}", std::process::id());
        let base =
            tempfile::Builder::new().prefix(&format!("{id}-")).tempdir().expect("a folder for the case");
        // A container whose root is another user has to come through.
        let everyone = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(base.path(), everyone).expect("a folder for everyone");
        std::fs::create_dir(base.path().join("bundle")).expect("the bundle");
        bundle::rootfs(&base.path().join("bundle/rootfs"));
        let config = config::default(&format!("/{id}"));
        Self { config, id, base, calls: AtomicU32::new(0) }
    }

    /// A case whose container runs this script of the shell.
    pub(crate) fn sh(script: &str) -> Self {
        let mut case = Self::new();
        case.set("/process/args", ["sh", "-c", script]);
        case
    }

    /// A case whose container stays until it is killed.
    pub(crate) fn idle() -> Self {
        let mut case = Self::new();
        case.set("/process/args", ["sleep", "1000"]);
        case
    }

    /// Sets a value of the configuration by its JSON pointer; objects on the way are made. The last part `-` appends to a list.
    #[track_caller]
    pub(crate) fn set(&mut self, pointer: &str, value: impl Into<Value>) -> &mut Self {
        let mut place = &mut self.config;
        for part in pointer.trim_start_matches('/').split('/') {
            let part = part.replace("~1", "/").replace("~0", "~");
            place =
                child(place, &part).unwrap_or_else(|| panic!("{part:?} of {pointer} is no place in a list"));
        }
        *place = value.into();
        self
    }

    /// Takes a value out of the configuration.
    #[track_caller]
    pub(crate) fn unset(&mut self, pointer: &str) -> &mut Self {
        let (parent, name) = pointer.rsplit_once('/').expect("a JSON pointer");
        match self.config.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent} in the configuration")) {
            Value::Array(list) => _ = list.remove(name.parse().expect("an index")),
            Value::Object(map) => _ = map.remove(name),
            other => panic!("{parent} is {other}"),
        }
        self
    }

    /// Takes a kind of namespace out of the configuration.
    pub(crate) fn without_namespace(&mut self, kind: &str) -> &mut Self {
        let list = self.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
        list.retain(|namespace| namespace["type"] != kind);
        self
    }

    /// Adds a namespace, or replaces the one of its kind: new, or by path.
    pub(crate) fn namespace(&mut self, kind: &str, path: Option<&Path>) -> &mut Self {
        self.without_namespace(kind);
        let mut namespace = serde_json::json!({ "type": kind });
        if let Some(path) = path {
            namespace["path"] = path.to_str().expect("a path in UTF-8").into();
        }
        self.set("/linux/namespaces/-", namespace)
    }

    /// Makes a probe (`probe.rs`) the program.
    pub(crate) fn with_probe(&mut self, name: &str) -> &mut Self {
        let own = std::env::current_exe().expect("the path of this test");
        std::fs::write(self.rootfs("bin/probe"), "").expect("a place for the probe");
        self.mount("/bin/probe", "bind", own.to_str().expect("a path in UTF-8"), &["bind", "ro"]);
        self.set(
            "/process/args",
            ["/bin/probe", "--exact", "probe::probe", "--ignored", "--nocapture", "--test-threads", "1"],
        );
        self.set("/process/env/-", format!("PROBE={name}"))
    }

    /// Gives the container a user namespace of 65536 ids from 100000 on, and the root file system to its root.
    pub(crate) fn user_namespace(&mut self) -> &mut Self {
        let range = serde_json::json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
        self.namespace("user", None)
            .set("/linux/uidMappings", range.clone())
            .set("/linux/gidMappings", range);
        chown_all(&self.rootfs(""), 100_000);
        self
    }

    /// Appends a mount.
    pub(crate) fn mount(
        &mut self,
        destination: &str,
        kind: &str,
        source: &str,
        options: &[&str],
    ) -> &mut Self {
        let mount = serde_json::json!({
            "destination": destination, "type": kind, "source": source, "options": options
        });
        self.set("/mounts/-", mount)
    }

    /// The container's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The case's own folder, with everything in it.
    pub(crate) fn base(&self) -> &Path {
        self.base.path()
    }

    /// A path in the case's own folder as a word.
    pub(crate) fn path(&self, name: &str) -> String {
        self.base().join(name).to_str().expect("a path in UTF-8").to_owned()
    }

    /// The bundle.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.base().join("bundle")
    }

    /// A path inside the root file system, on the host.
    pub(crate) fn rootfs(&self, path: &str) -> PathBuf {
        self.bundle().join("rootfs").join(path.trim_start_matches('/'))
    }

    /// Where the runtime keeps its state (`--root`).
    pub(crate) fn state_folder(&self) -> PathBuf {
        self.base().join("state")
    }

    /// The control group's absolute path, in each hierarchy.
    pub(crate) fn cgroup(&self) -> String {
        format!("/{}", self.id)
    }

    /// The control group's file of a controller; nothing when this machine does not have it.
    pub(crate) fn cgroup_file(&self, controller: &str, file: &str) -> Option<String> {
        let path = super::controller(controller, &self.cgroup())?.join(file);
        std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
    }

    /// Writes `config.json` as it is now.
    pub(crate) fn write(&self) {
        let text = serde_json::to_vec_pretty(&self.config).expect("JSON");
        std::fs::write(self.bundle().join("config.json"), text).expect("the configuration");
    }

    /// A call of the runtime with `--root` and these words; standard input is /dev/null.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = runtime().command();
        command.arg("--root").arg(self.state_folder()).args(words).stdin(Stdio::null());
        command
    }

    /// Runs such a call to its end.
    #[track_caller]
    pub(crate) fn call(&self, words: &[&str]) -> Said {
        self.end(self.command(words))
    }

    /// Runs a command to its end, with a time-out, its output going to files of the case.
    #[track_caller]
    pub(crate) fn end(&self, command: Command) -> Said {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        call::ended(
            command,
            &self.base().join(format!("{number}.out")),
            &self.base().join(format!("{number}.err")),
        )
    }

    /// What a call (by its number, from 0) and its container have said so far.
    pub(crate) fn said(&self, number: u32) -> String {
        std::fs::read_to_string(self.base().join(format!("{number}.out"))).unwrap_or_default()
    }

    /// A verb with options, the bundle and the id.
    pub(crate) fn bundled(&self, verb: &str, options: &[&str]) -> Command {
        self.write();
        let bundle = self.bundle();
        let bundle = bundle.to_str().expect("a path in UTF-8");
        self.command(&[&[verb, "--bundle", bundle], options, &[&self.id]].concat())
    }

    /// `run`, to the container's end.
    #[track_caller]
    pub(crate) fn run(&self) -> Said {
        self.end(self.bundled("run", &[]))
    }

    /// `run` with its output going to a pipe, as limits of files do not hold there; gives the exit code and the output.
    #[track_caller]
    pub(crate) fn run_piped(&self) -> (i32, String) {
        let mut command = self.bundled("run", &[]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = self.spawn(command);
        let code = self.reap(&mut child);
        let mut text = String::new();
        std::io::Read::read_to_string(child.stdout.as_mut().expect("a pipe"), &mut text).expect("text");
        (code, text)
    }

    /// `run` with options.
    #[track_caller]
    pub(crate) fn run_with(&self, options: &[&str]) -> Said {
        self.end(self.bundled("run", options))
    }

    /// `run --detach`: the container runs afterwards.
    #[track_caller]
    pub(crate) fn detached(&self) {
        self.run_with(&["--detach"]).code(0);
    }

    /// `create`.
    #[track_caller]
    pub(crate) fn create(&self) -> Said {
        self.end(self.bundled("create", &[]))
    }

    /// `create` with options.
    #[track_caller]
    pub(crate) fn create_with(&self, options: &[&str]) -> Said {
        self.end(self.bundled("create", options))
    }

    /// `start`.
    #[track_caller]
    pub(crate) fn start(&self) -> Said {
        self.call(&["start", &self.id])
    }

    /// `exec` of a command.
    #[track_caller]
    pub(crate) fn exec(&self, words: &[&str]) -> Said {
        self.exec_with(&[], words)
    }

    /// `exec` of a script of the shell.
    #[track_caller]
    pub(crate) fn exec_sh(&self, script: &str) -> Said {
        self.exec(&["sh", "-c", script])
    }

    /// `exec` with options.
    #[track_caller]
    pub(crate) fn exec_with(&self, options: &[&str], words: &[&str]) -> Said {
        self.call(&[&["exec"], options, &[&self.id], words].concat())
    }

    /// `kill` with a signal.
    #[track_caller]
    pub(crate) fn kill(&self, signal: &str) -> Said {
        self.call(&["kill", &self.id, signal])
    }

    /// `delete`.
    #[track_caller]
    pub(crate) fn delete(&self) -> Said {
        self.call(&["delete", &self.id])
    }

    /// `delete --force`.
    #[track_caller]
    pub(crate) fn delete_force(&self) -> Said {
        self.call(&["delete", "--force", &self.id])
    }

    /// `state` as a value.
    #[track_caller]
    pub(crate) fn state(&self) -> Value {
        let said = self.call(&["state", &self.id]).ok();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("state is no JSON ({error}): {said}"))
    }

    /// The status in `state`; `none` when `state` fails.
    #[track_caller]
    pub(crate) fn status(&self) -> String {
        let said = self.call(&["state", &self.id]);
        if said.code != 0 {
            return "none".to_owned();
        }
        let state: Value = serde_json::from_str(&said.out).expect("state is JSON");
        state["status"].as_str().expect("a status").to_owned()
    }

    /// Waits until the container has this status.
    #[track_caller]
    pub(crate) fn becomes(&self, status: &str) {
        within(10, &format!("the container is {status}"), || (self.status() == status).then_some(()));
    }

    /// The pid of the container's first process, on the host.
    #[track_caller]
    pub(crate) fn pid(&self) -> i64 {
        let pid = self.state()["pid"].as_i64();
        pid.filter(|pid| *pid > 0).expect("the pid of a process")
    }

    /// Reads a file of the container's first process in /proc.
    #[track_caller]
    pub(crate) fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.pid());
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
    }

    /// Waits for a file in the root file system, and gives its text.
    #[track_caller]
    pub(crate) fn appears(&self, path: &str) -> String {
        let path = self.rootfs(path);
        within(10, &format!("{} appears", path.display()), || std::fs::read_to_string(&path).ok())
    }

    /// Starts a call without waiting for it; output as the command has it.
    #[track_caller]
    pub(crate) fn spawn(&self, mut command: Command) -> Child {
        command.spawn().unwrap_or_else(|error| panic!("cannot run the runtime: {error}"))
    }

    /// Waits for the end of what [`Self::spawn`] started and gives its exit code (128 + n after a signal).
    #[track_caller]
    pub(crate) fn reap(&self, child: &mut Child) -> i32 {
        use std::os::unix::process::ExitStatusExt as _;
        if !call::wait(child, call::patience()) {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the call does not end");
        }
        let status = child.wait().expect("the runtime can be waited for");
        status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
    }

    /// What is left of the case on the host, one line each.
    pub(crate) fn left(&self) -> Vec<String> {
        leftovers::left(self.base(), &self.state_folder(), &self.cgroup())
    }

    /// Asserts that nothing of a container is there, without having deleted one.
    #[track_caller]
    pub(crate) fn nothing_left(&self) {
        let left = self.left();
        assert!(left.is_empty(), "left behind:\n{}", left.join("\n"));
    }

    /// The ids that the runtime's state has.
    fn known(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.state_folder()).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with('.')).collect()
    }
}

/// Gives a folder and everything in it to a user and the group of the same number.
fn chown_all(path: &Path, id: u32) {
    std::os::unix::fs::lchown(path, Some(id), Some(id)).expect("a new owner");
    if path.symlink_metadata().is_ok_and(|about| about.is_dir()) {
        for entry in std::fs::read_dir(path).expect("a folder").flatten() {
            chown_all(&entry.path(), id);
        }
    }
}

/// A member of an object, which is made, or of a list, where `-` appends.
fn child<'a>(place: &'a mut Value, part: &str) -> Option<&'a mut Value> {
    if part == "-" && place.is_null() {
        *place = Value::Array(Vec::new());
    }
    if !place.is_array() {
        return Some(&mut place[part]);
    }
    let list = place.as_array_mut()?;
    if part == "-" {
        list.push(Value::Null);
        return list.last_mut();
    }
    list.get_mut(part.parse::<usize>().ok()?)
}

impl Drop for Case {
    fn drop(&mut self) {
        for id in self.known() {
            let mut command = self.command(&["delete", "--force", &id]);
            let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        let left = if std::thread::panicking() { Vec::new() } else { self.left() };
        leftovers::clear(self.base(), &self.cgroup());
        if !std::thread::panicking() {
            assert!(left.is_empty(), "left behind:\n{}", left.join("\n"));
        }
    }
}
