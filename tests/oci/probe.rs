//! What busybox cannot tell: a test that runs inside a container as its program, being a static executable.

/// Makes the system call that `PROBE` names and prints how it ended.
#[test]
#[ignore = "run by the tests as the program of a container"]
fn probe() {
    let call = std::env::var("PROBE").unwrap_or_default();
    let result = match call.as_str() {
        "openat2" => {
            use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
            openat2(CWD, "/", OFlags::PATH, Mode::empty(), ResolveFlags::empty()).map(drop)
        }
        "lock" => {
            let file = std::fs::File::create("/tmp/lock").expect("a file");
            file.lock().expect("a lock");
            std::thread::sleep(std::time::Duration::from_secs(1000));
            Ok(())
        }
        "ready" => {
            let path = std::env::var_os("NOTIFY_SOCKET").expect("a socket for readiness");
            let socket = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
            let sent = socket.send_to(b"READY=1", path).map(drop);
            // The one who passes it on takes it while the program lives.
            std::thread::sleep(std::time::Duration::from_secs(2));
            sent.map_err(|error| rustix::io::Errno::from_io_error(&error).expect("an error of the system"))
        }
        other => panic!("no probe is named {other:?}"),
    };
    match result {
        Ok(()) => println!("{call}: fine"),
        Err(error) => println!("{call}: {error}"),
    }
}
