//! `stop`, `restart` and `wait`: legal in every state; what does not run is not stopped.

use crate::{
    Engine, TaskClient, lock,
    observe::{Observed, observe},
    start::Manner,
};
use sampan_image::ImageConfig;
use sampan_types::{
    ContainerRecord, ContainerType, Error, ErrorKind, ExitRecord, Result,
    ops::{Execute, RestartContainer, StopContainer, WaitContainer},
    parse_signal,
    task::Request,
};

const SIGTERM: i32 = 15;
/// What systemd, and most inits in containers, take as "halt" (systemd(1), "SIGRTMIN+3").
const SIGRTMIN_3: i32 = 37;

/// Seconds before a container is killed. A whole system has services to end.
const APP_PATIENCE: i64 = 10;
const SYSTEM_PATIENCE: i64 = 60;

impl Execute<StopContainer> for Engine {
    fn execute(&self, operation: StopContainer) -> Result<()> {
        let record = self.container(&operation.container)?;
        let lock = lock::lock(&self.paths.container(&record.id))?;
        self.stop(&record, operation.timeout_s, operation.signal)?;
        drop(lock);
        Ok(())
    }
}

impl Execute<RestartContainer> for Engine {
    fn execute(&self, operation: RestartContainer) -> Result<()> {
        let record = self.container(&operation.container)?;
        let _lock = lock::lock(&self.paths.container(&record.id))?;
        self.stop(&record, operation.timeout_s, None)?;
        let record = self.container(record.id.as_str())?;
        self.start(&record, Manner { attach: false, console_size: None, tidies: false }).map(drop)
    }
}

impl Execute<WaitContainer> for Engine {
    fn execute(&self, operation: WaitContainer) -> Result<ExitRecord> {
        let record = self.container(&operation.container)?;
        if let Observed::Running(_) = observe(&self.paths, &record.id)?
            && let Ok(client) = TaskClient::connect(&self.paths.bundle(&record.id))
        {
            client.send(&Request::Wait { cleans: false }, &[])?;
            match client.wait_exit(None) {
                // It ended between our look and our question.
                Err(error) if error.kind() == ErrorKind::Unavailable => {}
                result => return result,
            }
        }
        let _lock = lock::lock(&self.paths.container(&record.id))?;
        self.tidy(&record)?;
        self.container(record.id.as_str())?.last_exit.ok_or_else(|| {
            Error::new(ErrorKind::Conflict, format!("cannot wait for container {}", record.name))
                .because("it has never been started")
                .hint(format!("sampan start {}", record.name))
        })
    }
}

impl Engine {
    /// Stops a container whose lock the caller holds, and tidies after it. An auto-removed one is gone afterwards.
    pub(crate) fn stop(
        &self,
        record: &ContainerRecord,
        patience: Option<i64>,
        signal: Option<i32>,
    ) -> Result<()> {
        if let Observed::Running(_) = observe(&self.paths, &record.id)? {
            let signal = match signal.or(record.config.stop_signal) {
                Some(signal) => signal,
                None => self.stop_signal(record)?,
            };
            let patience = patience.unwrap_or(match record.config.container_type {
                ContainerType::App => APP_PATIENCE,
                ContainerType::System => SYSTEM_PATIENCE,
            });
            let timeout_ms = u64::try_from(patience).ok().map(|seconds| seconds.saturating_mul(1000));
            self.end_task(record, signal, timeout_ms)?;
        }
        self.after_exit(record)
    }

    /// Has the shim end its container, and waits for it.
    fn end_task(&self, record: &ContainerRecord, signal: i32, timeout_ms: Option<u64>) -> Result<()> {
        let ask = || {
            let client = TaskClient::connect(&self.paths.bundle(&record.id))?;
            client.send(&Request::Wait { cleans: true }, &[])?;
            client.request(&Request::Stop { signal, timeout_ms }, &[])?;
            client.wait_exit(None)?;
            client.send(&Request::Cleaned, &[])
        };
        match ask() {
            // The shim ended (or was killed) while it was asked: so has its container.
            Err(error) if error.kind() == ErrorKind::Unavailable => Ok(()),
            result => result,
        }
    }

    fn stop_signal(&self, record: &ContainerRecord) -> Result<i32> {
        if record.config.container_type == ContainerType::System {
            return Ok(SIGRTMIN_3);
        }
        let image = ImageConfig::of(&self.store.image_by_digest(&record.image_digest)?)?;
        image.stop_signal.as_deref().map_or(Ok(SIGTERM), parse_signal)
    }

    /// What follows an exit: tidying, and removal where it was asked for. The caller holds the lock.
    pub(crate) fn after_exit(&self, record: &ContainerRecord) -> Result<()> {
        match observe(&self.paths, &record.id)? {
            Observed::Running(_) | Observed::Absent => Ok(()),
            Observed::Dead(_) if record.config.auto_remove => self.remove(record),
            Observed::Dead(_) => self.tidy(record),
        }
    }
}
