//! `exec`: legal when running.

use crate::{Engine, TaskClient, events, observe, recipe, users::Accounts};
use sampan_types::{
    Error, ErrorKind, Result,
    ops::{ExecContainer, ExecTask, Execute},
    spec::Spec,
    task::{Reply, Request},
};
use std::{
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

impl Execute<ExecContainer> for Engine {
    fn execute(&self, operation: ExecContainer) -> Result<ExecTask> {
        let record = self.container(&operation.container)?;
        let state = observe::running(&self.paths, &record, "run a program in")?;
        let bundle = self.paths.bundle(&record.id);
        let main = main_process(&bundle)?;
        let user = match &operation.user {
            Some(user) => {
                let root = format!("/proc/{}/root", state.init.pid);
                Some(Accounts::from_root(Path::new(&root)).resolve(user)?)
            }
            None => None,
        };
        let process = Box::new(recipe::exec_process(&main, &operation, user.as_ref()));
        let client = TaskClient::connect(&bundle)?;
        let fds: Vec<BorrowedFd> = operation.stdio.iter().flatten().map(AsFd::as_fd).collect();
        let (reply, mut fds) = client.request(&Request::Exec { process }, &fds)?;
        let Reply::ExecStarted { exec, .. } = reply else {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("cannot run a program in container {}", record.name),
            )
            .because("its shim gave an answer that does not belong to the question"));
        };
        let command = operation.command.join(" ");
        events::publish(
            &self.paths.events(),
            &events::container(&record, &format!("exec_start: {command}"), &[]),
        )?;
        Ok(ExecTask { control: client.into_socket(), exec, console: fds.pop() })
    }
}

/// The process that the container was started with: what is run later has the same rights.
fn main_process(bundle: &Path) -> Result<sampan_types::spec::Process> {
    let path = bundle.join("config.json");
    let bytes = std::fs::read(&path)
        .map_err(|source| Error::io(format!("cannot read {}", path.display()), source))?;
    let spec: Spec = serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("cannot understand {}", path.display())).because(error)
    })?;
    Ok(spec.process.unwrap_or_default())
}
