//! Programs that the specification has run at points of a container's life (config.md, "POSIX-platform Hooks").

use crate::error::{Cannot, invalid};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::MemfdFlags,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{Hook, Hooks, Spec, State, Status, VERSION},
};
use std::{
    fs::File,
    io::Write,
    os::unix::{fs::FileExt, process::CommandExt, process::ExitStatusExt},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

/// As much of what a failed hook has said as is repeated of each of its streams, in bytes.
const SAID: usize = 4096;

/// What a hook finds that the specification does not give it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Surroundings<'a> {
    /// The environment of a hook that has none of its own.
    pub(crate) env: &'a [String],
    /// Its working directory; the caller's where absent.
    pub(crate) directory: Option<&'a Path>,
}

/// A container's state as hooks get it on their standard input.
pub(crate) fn state(id: &str, spec: &Spec, bundle: &Path, status: Status, pid: i32) -> State {
    State {
        oci_version: VERSION.to_owned(),
        id: id.to_owned(),
        status,
        pid: Some(pid).filter(|_| status != Status::Stopped),
        bundle: bundle.to_path_buf(),
        annotations: spec.annotations.clone(),
    }
}

/// Refuses what no hook can be.
pub(crate) fn check(hooks: &Hooks) -> Result<()> {
    let kinds = [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("startContainer", &hooks.start_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ];
    for (kind, hooks) in kinds {
        for (index, hook) in hooks.iter().enumerate() {
            let refuse = |why: &str| Err(invalid(format!("invalid {kind} hook #{index}"), why));
            if !hook.path.is_absolute() {
                return refuse("its path must be absolute");
            }
            if hook.timeout.is_some_and(|seconds| seconds <= 0) {
                return refuse("its timeout must be greater than zero");
            }
        }
    }
    Ok(())
}

/// Runs hooks one after the other in the calling process's namespaces; the first that fails ends it. `kind` is the
/// specification's word for them.
pub(crate) fn run(kind: &str, hooks: &[Hook], state: &State, surroundings: Surroundings<'_>) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let input = serde_json::to_vec(state).map_err(|error| {
        Error::new(ErrorKind::Internal, "cannot write the state for hooks").because(error)
    })?;
    for (index, hook) in hooks.iter().enumerate() {
        run_one(hook, &input, surroundings).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("error running {kind} hook #{index}")).because(error)
        })?;
    }
    Ok(())
}

fn run_one(hook: &Hook, input: &[u8], surroundings: Surroundings<'_>) -> Result<()> {
    let name = hook.path.display();
    let mut command = Command::new(&hook.path);
    if let Some((first, rest)) = hook.args.split_first() {
        command.arg0(first).args(rest);
    }
    let env = if hook.env.is_empty() { surroundings.env } else { &hook.env };
    command.env_clear().envs(env.iter().filter_map(|entry| entry.split_once('=')));
    if let Some(directory) = surroundings.directory {
        command.current_dir(directory);
    }
    // Files and not pipes: nobody need read while it runs, and what it leaves running holds nobody up.
    let (output, errors) = (said(), said());
    command.stdin(Stdio::piped()).stdout(copy(&output)?).stderr(copy(&errors)?);
    // Who stays with a container holds signals back; a program it starts is not to.
    sampan_sys::signal::unblock_in(&mut command);
    let mut child = command.spawn().cannot(|| format!("start {name}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read it.
        let _ = stdin.write_all(input);
    }
    let status = wait(&mut child, hook.timeout).cannot(|| format!("wait for {name}"))?;
    let how = match status {
        Some(status) if status.success() => return Ok(()),
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, signal) => format!("killed by signal {}", signal.unwrap_or_default()),
        },
        None => {
            format!("it ran past its timeout of {} s and was killed", hook.timeout.unwrap_or_default())
        }
    };
    let quote = |word: &str, file: &Option<File>| match file.as_ref().map(text) {
        Some(text) if !text.is_empty() => format!(", {word}: {text}"),
        _ => String::new(),
    };
    let said = quote("stdout", &output) + &quote("stderr", &errors);
    Err(Error::new(ErrorKind::Internal, format!("{name}: {how}{said}")))
}

/// Where a stream of a hook goes; nowhere, where the container's filter forbids files in memory.
fn said() -> Option<File> {
    rustix::fs::memfd_create("hook", MemfdFlags::CLOEXEC).map(File::from).ok()
}

fn copy(file: &Option<File>) -> Result<Stdio> {
    match file {
        Some(file) => file.try_clone().map(Stdio::from).cannot(|| "duplicate a descriptor".into()),
        None => Ok(Stdio::null()),
    }
}

/// What it holds, without what would steer a terminal.
fn text(file: &File) -> String {
    let mut bytes = [0; SAID];
    let count = file.read_at(&mut bytes, 0).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[..count]);
    text.trim().chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// `None` when the time was up and it was killed.
fn wait(child: &mut Child, timeout: Option<i64>) -> std::io::Result<Option<ExitStatus>> {
    let Some(seconds) = timeout.filter(|seconds| *seconds > 0) else {
        return child.wait().map(Some);
    };
    let pid = Pid::from_raw(child.id() as i32).ok_or(std::io::ErrorKind::NotFound)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let mut entries = [PollFd::new(&pidfd, PollFlags::IN)];
    if rustix::io::retry_on_intr(|| poll(&mut entries, Some(&limit)))? == 0 {
        pidfd_send_signal(&pidfd, Signal::KILL)?;
        child.wait()?;
        return Ok(None);
    }
    child.wait().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(script: &str, timeout: Option<i64>) -> Hook {
        let args = ["sh", "-c", script].map(str::to_owned).to_vec();
        Hook { path: "/bin/sh".into(), args, env: vec!["K=v".into()], timeout }
    }

    fn run_in(hooks: &[Hook], surroundings: Surroundings<'_>) -> Result<()> {
        let spec = Spec::default();
        let state = state("c1", &spec, Path::new("/b"), Status::Creating, 7);
        run("prestart", hooks, &state, surroundings)
    }

    fn try_run(hooks: &[Hook]) -> Result<()> {
        run_in(hooks, Surroundings::default())
    }

    #[test]
    fn a_hook_reads_the_state_and_has_its_own_environment() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let script = format!("cat > {0}; echo $K $HOME >> {0}", out.display());
        try_run(&[hook(&script, None)]).unwrap();
        let text = std::fs::read_to_string(out).unwrap();
        assert_eq!(
            text,
            "{\"ociVersion\":\"1.3.0\",\"id\":\"c1\",\"status\":\"creating\",\"pid\":7,\"bundle\":\"/b\"}v\n"
        );
    }

    #[test]
    fn words_and_surroundings_are_passed_on() {
        let directory = tempfile::tempdir().unwrap();
        let mut verbatim = hook("echo \"$0|$*|$A\" > out; cat /proc/self/cmdline | tr '\\0' , >> out", None);
        verbatim.env.clear();
        verbatim.args.extend(["a b", ""].map(str::to_owned));
        let env = ["A=1".to_owned(), "A=2".to_owned(), "PATH=/usr/bin:/bin".to_owned()];
        run_in(&[verbatim], Surroundings { env: &env, directory: Some(directory.path()) }).unwrap();
        let text = std::fs::read_to_string(directory.path().join("out")).unwrap();
        assert_eq!(text, "a b||2\ncat,/proc/self/cmdline,");
    }

    #[test]
    fn failures_name_the_hook_and_repeat_its_words() {
        let error = try_run(&[hook("true", None), hook("exit 3", None)]).unwrap_err();
        assert_eq!(error.to_string(), "error running prestart hook #1");
        assert_eq!(error.causes(), ["/bin/sh: exit status 3"]);
        let error = try_run(&[hook("echo one; printf 'two\\033[m' >&2; kill -9 $$", None)]).unwrap_err();
        assert_eq!(error.causes(), ["/bin/sh: killed by signal 9, stdout: one, stderr: two\u{fffd}[m"]);
        let error = try_run(&[hook("sleep 20", Some(1))]).unwrap_err();
        assert_eq!(error.causes(), ["/bin/sh: it ran past its timeout of 1 s and was killed"]);
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        let check = |hook: Hook| {
            let hooks = Hooks { poststart: vec![hook], ..Hooks::default() };
            check(&hooks).map_err(|error| format!("{error:?}"))
        };
        assert_eq!(check(hook("true", Some(1))), Ok(()));
        assert_eq!(
            check(hook("true", Some(0))),
            Err("InvalidInput: invalid poststart hook #0: its timeout must be greater than zero".into())
        );
        assert_eq!(
            check(Hook { path: "bin/sh".into(), ..Hook::default() }),
            Err("InvalidInput: invalid poststart hook #0: its path must be absolute".into())
        );
    }

    #[test]
    fn what_a_hook_leaves_running_holds_nobody_up() {
        let begin = std::time::Instant::now();
        try_run(&[hook("sleep 5 & exit 0", None)]).unwrap();
        assert!(begin.elapsed() < std::time::Duration::from_secs(4));
    }
}
