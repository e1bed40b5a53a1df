//! When there is no container.

use super::become_program;
use crate::{bundle::Bundle, exit};
use rustix::fd::OwnedFd;
use sampan_sys::channel;
use sampan_types::{
    Error, Result,
    task::{Failure, ProcessId, Reply, Request},
};
use std::{io, process::ExitCode};

/// Tells the engine that there is no container, and gives it the chance to tidy: it speaks with this shim as with one
/// whose container has ended.
pub(super) fn refuse(bundle: &Bundle, shim: ProcessId, origin: &OwnedFd, error: &Error) -> Result<ExitCode> {
    let exit = exit::failure(error, None);
    let mut answer = tell(origin, error);
    let mut cleaned = false;
    while answer.is_ok() && !cleaned {
        let Ok(Some(frame)) = channel::recv(origin) else { break };
        answer = match serde_json::from_slice(&frame.bytes) {
            Ok(Request::Cleaned) => {
                cleaned = true;
                Ok(())
            }
            Ok(Request::Wait { .. }) => reply(origin, &Reply::Exited { exec: None, exit: exit.clone() }),
            Ok(Request::Stop { .. }) => reply(origin, &Reply::Done),
            Ok(_) | Err(_) => tell(origin, error),
        };
    }
    match bundle.task.on_exit.split_first() {
        Some((program, arguments)) if !cleaned => Err(become_program(program, arguments)),
        _ => {
            bundle.retire(shim);
            Ok(ExitCode::FAILURE)
        }
    }
}

pub(super) fn tell(origin: &OwnedFd, error: &Error) -> Result<()> {
    reply(origin, &Reply::Failed(Failure::from(error)))
}

fn reply(origin: &OwnedFd, reply: &Reply) -> Result<()> {
    let failed = |error: io::Error| Error::io("cannot answer on the control socket", error);
    let json = serde_json::to_vec(reply).map_err(|error| failed(error.into()))?;
    channel::send(origin, &json, &[]).map_err(failed)
}
