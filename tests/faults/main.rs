//! Every system call of the OCI runtime's verbs made to fail in turn: what comes is always either what was asked for or an error that
//! says why, never a hang, a half-made container or something left behind.
//!
//! strace(1) makes the calls fail. A first run without a fault tells which calls each process makes and how often; then there is
//! one run for each of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod calls;
mod scene;

use calls::{Call, calls};
use scene::{Scene, Verdict};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

/// What the kernel says instead of doing what it is asked: no call is retried for it, and none expects it.
const ERROR: (&str, &str) = ("ENOMEM", "cannot allocate memory");

/// How many runs are under way at once.
const AT_ONCE: usize = 4;

fn every_call_fails_once(verb: &str) {
    let scene = Scene::new(verb);
    let calls: Vec<Call> = calls(&scene.trace());
    assert!(calls.len() > 100, "only {} calls were seen", calls.len());
    let next = Mutex::new(calls.iter());
    let (wrong, failed) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(call) = { next.lock().unwrap().next() } {
                    match one(&scene, call) {
                        Ok(true) => _ = failed.fetch_add(1, Ordering::Relaxed),
                        Ok(false) => {}
                        Err(why) => wrong.lock().unwrap().push(format!("{call}: {why}")),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    let failed = failed.into_inner();
    println!(
        "{verb}: {} calls, the failure of {failed} was told, that of the others did not matter",
        calls.len()
    );
    assert!(wrong.is_empty(), "{} of {} calls:\n{}", wrong.len(), calls.len(), wrong.join("\n"));
    assert!(
        failed * 2 > calls.len(),
        "the faults have no effect: only {failed} of {} runs failed",
        calls.len()
    );
}

/// Whether the verb failed; or what is wrong with how it did.
fn one(scene: &Scene, call: &Call) -> Result<bool, String> {
    let fault = format!("{}:error={}:when={}", call.name, ERROR.0, call.number);
    let Verdict { said, leftovers } = scene.run_with(&fault);
    match (said.timed_out, said.succeeded) {
        (true, _) => return Err("it hangs".into()),
        (_, true) => {}
        // A process that dies of it must not do so silently.
        // The failed write may have been what it had to say.
        (_, false) if said.stderr.is_empty() && call.name == "write" => {}
        (_, false) if said.stderr.is_empty() => return Err("it fails and says nothing".into()),
        (_, false)
            if !call.tidies()
                && !said.stderr.to_lowercase().contains(ERROR.1)
                && !said.stderr.contains("was killed") =>
        {
            return Err(format!("the error does not say why: {}", said.stderr));
        }
        (_, false) => {}
    }
    if said.stderr.contains("panicked") {
        return Err(format!("it panics: {}", said.stderr));
    }
    // What cannot be removed stays, until it is tried again.
    let left = if call.tidies() { scene.left_after_delete(&fault) } else { leftovers };
    if left.is_empty() {
        Ok(!said.succeeded)
    } else {
        Err(format!("left behind: {}; it said {}", left.join(", "), said.stderr))
    }
}

#[test]
fn run() {
    every_call_fails_once("run");
}

#[test]
fn run_in_the_background() {
    every_call_fails_once("detach");
}

#[test]
fn exec() {
    every_call_fails_once("exec");
}
