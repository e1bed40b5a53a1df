//! `attach` and `console`: legal when running.

use crate::{Engine, TaskClient, observe, start::attach_stdio};
use sampan_types::{
    Result,
    ops::{AttachContainer, Execute, Task},
    task::Request,
};

impl Execute<AttachContainer> for Engine {
    fn execute(&self, operation: AttachContainer) -> Result<Task> {
        let record = self.container(&operation.container)?;
        observe::running(&self.paths, &record, "attach to")?;
        let client = TaskClient::connect(&self.paths.bundle(&record.id))?;
        let stdin = operation.stdin && (record.config.stdin_open || record.config.tty);
        let stream = attach_stdio(&client, stdin)?;
        client.send(&Request::Wait { cleans: false }, &[])?;
        Ok(Task {
            id: record.id,
            name: record.name,
            control: client.into_socket(),
            stream: Some(stream),
            tty: record.config.tty,
            stdin_open: stdin,
        })
    }
}
