//! Starting a container's shim.

use crate::{Paths, TaskClient};
use sampan_sys::spawn::Executable;
use sampan_types::{
    ContainerId, Error, ErrorKind, Result,
    spec::Spec,
    task::{Reply, TaskConfig},
};
use std::{
    ffi::CString,
    os::fd::{AsFd, OwnedFd},
    os::unix::{ffi::OsStrExt, net::UnixStream},
    path::{Path, PathBuf},
};

const NAME: &str = "sampan-shim";

/// Where the shim is looked for, after the folder of this program: where distributions put it.
const LIBEXEC: &[&str] = &["/usr/libexec/sampan", "/usr/local/libexec/sampan", "/usr/lib/sampan"];

/// Writes a bundle and starts a shim on it, which begins to make the container; [`created`] waits for that.
pub(crate) fn start(paths: &Paths, id: &ContainerId, spec: &Spec, task: &TaskConfig) -> Result<TaskClient> {
    let bundle = paths.bundle(id);
    write_json(&bundle.join("config.json"), spec)?;
    write_json(&bundle.join("task.json"), task)?;
    let failed = |source| Error::io("cannot start the container's shim", source);
    let program = find()?;
    let executable = Executable::open(&program).map_err(failed)?;
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let argv = [c"sampan-shim".to_owned(), c"task".to_owned(), c_string(&bundle)?];
    executable.spawn(&argv, &environment(), theirs.as_fd()).map_err(failed)?;
    Ok(TaskClient::new(ours.into()))
}

/// Waits until the container stands at OCI "created"; gives its network namespace, and what the runtime passed over.
pub(crate) fn created(client: &TaskClient) -> Result<(OwnedFd, Vec<String>)> {
    match client.reply()? {
        (Reply::Created { warnings, .. }, mut fds) if fds.len() == 1 => Ok((fds.remove(0), warnings)),
        (reply, _) => Err(Error::new(ErrorKind::Internal, "cannot start the container's shim")
            .because(format!("it answered {reply:?}"))),
    }
}

/// The shim beside this program, or where distributions put it.
fn find() -> Result<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(NAME)));
    let folders = LIBEXEC.iter().map(|folder| Path::new(folder).join(NAME));
    beside.into_iter().chain(folders).find(|path| path.exists()).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("cannot find {NAME}"))
            .because(format!("it is neither beside this program nor in {}", LIBEXEC.join(", ")))
            .hint("install both programs into one folder")
    })
}

/// Only what tests steer a shim by: a container's environment never comes from the caller's.
fn environment() -> Vec<CString> {
    let failpoint = std::env::var_os("SAMPAN_FAILPOINT");
    failpoint
        .and_then(|value| CString::new([b"SAMPAN_FAILPOINT=", value.as_bytes()].concat()).ok())
        .into_iter()
        .collect()
}

fn c_string(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|error| {
        Error::new(ErrorKind::InvalidInput, format!("cannot use {}", path.display())).because(error)
    })
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let failed = |source| Error::io(format!("cannot write {}", path.display()), source);
    let bytes = serde_json::to_vec(value).map_err(|error| failed(error.into()))?;
    std::fs::write(path, bytes).map_err(failed)
}
