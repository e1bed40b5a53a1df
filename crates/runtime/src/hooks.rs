//! Programs that the specification has run at points of a container's life (config.md, "POSIX-platform Hooks").

use crate::error::Cannot;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{Hook, Spec, State, Status, VERSION},
};
use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

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

/// Runs hooks one after the other in the calling process's namespaces; the first that fails ends it. `kind` is the
/// specification's word for them, `env` what those get that have none of their own.
pub(crate) fn run(kind: &str, hooks: &[Hook], state: &State, env: &[String]) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let input = serde_json::to_vec(state).map_err(|error| {
        Error::new(ErrorKind::Internal, "cannot write the state for hooks").because(error)
    })?;
    for (index, hook) in hooks.iter().enumerate() {
        run_one(hook, &input, env).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("error running {kind} hook #{index}")).because(error)
        })?;
    }
    Ok(())
}

fn run_one(hook: &Hook, input: &[u8], env: &[String]) -> Result<()> {
    let name = hook.path.display();
    let mut command = Command::new(&hook.path);
    if let Some((first, rest)) = hook.args.split_first() {
        command.arg0(first).args(rest);
    }
    let env = if hook.env.is_empty() { env } else { &hook.env };
    command.env_clear().envs(env.iter().filter_map(|entry| entry.split_once('=')));
    command.stdin(Stdio::piped());
    let mut child = command.spawn().cannot(|| format!("start {name}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read it.
        let _ = stdin.write_all(input);
    }
    let status = wait(&mut child, hook.timeout).cannot(|| format!("wait for {name}"))?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Error::new(ErrorKind::Internal, format!("{name}: {status}"))),
        None => {
            let seconds = hook.timeout.unwrap_or_default();
            Err(Error::new(ErrorKind::Internal, format!("{name}: killed after {seconds} seconds")))
        }
    }
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

    fn try_run(hooks: &[Hook]) -> Result<()> {
        let spec = Spec::default();
        run("prestart", hooks, &state("c1", &spec, Path::new("/b"), Status::Creating, 7), &[])
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
    fn failures_name_the_hook() {
        let error = try_run(&[hook("true", None), hook("exit 3", None)]).unwrap_err();
        assert_eq!(error.to_string(), "error running prestart hook #1");
        assert_eq!(error.causes(), ["/bin/sh: exit status: 3"]);
        let error = try_run(&[hook("sleep 20", Some(1))]).unwrap_err();
        assert_eq!(error.causes(), ["/bin/sh: killed after 1 seconds"]);
    }
}
