//! Named points at which a test can end a process, to prove that whatever it leaves behind is tidied.
//!
//! Only with the feature `failpoints`; without it [`failpoint`] is nothing. The environment variable
//! `SAMPAN_FAILPOINT=NAME[:ACTION]` arms one point. Actions: `kill` (the default) ends the process with `SIGKILL`;
//! `stop` halts it with `SIGSTOP`, so that the test can look around and then kill or continue it.

/// Passes the point `name`, as `shim.before_start`.
#[cfg(feature = "failpoints")]
pub fn failpoint(name: &str) {
    use rustix::process::{Signal, getpid, kill_process};
    let Ok(armed) = std::env::var("SAMPAN_FAILPOINT") else { return };
    let (point, action) = armed.split_once(':').unwrap_or((&armed, "kill"));
    if point != name {
        return;
    }
    let signal = match action {
        "stop" => Signal::STOP,
        _ => Signal::KILL,
    };
    // A process may always signal itself.
    let _ = kill_process(getpid(), signal);
}

/// Passes the point `name`, as `shim.before_start`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn failpoint(_name: &str) {}
