//! One small process for each container: it makes the container, carries its standard streams, writes its log, runs more processes in
//! it, and tells how it ended. The words it speaks are in `sampan_types::task`. The same program is an OCI runtime with the command
//! line of runc: `oci`.
//!
//! It has exactly one thread, since it clones children, and no other connection to the engine than its sockets: the
//! engine may come and go.

mod attacher;
mod bundle;
mod connection;
mod exec;
mod exit;
mod input;
mod json_log;
mod oci;
mod oom;
mod outgoing;
mod restarts;
mod streams;
mod task;

use sampan_types::{Error, ErrorKind, Result};
use std::{ffi::OsString, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let (Some(program), Some(words)) = (arguments.first(), oci::words(&arguments)) {
        return oci::main(program, words);
    }
    // Started from a descriptor, it would be listed under that one's number. Fails only for a name that is too long.
    let _ = rustix::thread::set_name(c"sampan-shim");
    dispatch(arguments.get(1..).unwrap_or_default()).unwrap_or_else(|error| {
        complain(&error);
        ExitCode::from(error.kind().exit_code())
    })
}

fn dispatch(arguments: &[OsString]) -> Result<ExitCode> {
    match arguments {
        [verb, bundle] if verb == "task" => task::run(Path::new(bundle)),
        _ => Err(Error::new(ErrorKind::InvalidInput, "cannot understand the command line")
            .because("the forms are: sampan-shim task <bundle>, sampan-shim oci <command>")
            .hint("use sampan, which starts this program")),
    }
}

/// Says on standard error what no client can be told.
fn complain(error: &Error) {
    let causes = error.causes().into_iter().fold(String::new(), |text, cause| text + ": " + &cause);
    eprintln!("sampan-shim: {error}{causes}");
}
