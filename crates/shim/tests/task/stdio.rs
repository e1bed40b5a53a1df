//! Output, logs, attachers, input.

use crate::support::{Frames, Setup, eventually};
use sampan_types::task::{Reply, Request, TaskStatus};
use std::{
    fs,
    io::{Read, Write},
    net::Shutdown,
    time::Duration,
};

#[test]
fn output_is_framed_and_logged_and_the_exit_recorded() {
    let mut shim = Setup::shell("echo out; echo err >&2; printf end; exit 3").create();
    assert_eq!(shim.state().status, TaskStatus::Created);
    let mut stream = shim.start_attached(false);
    let frames = Frames::read(&mut stream);
    assert_eq!(String::from_utf8(frames.stdout).unwrap(), "out\nend");
    assert_eq!(String::from_utf8(frames.stderr).unwrap(), "err\n");
    let exit = shim.client.exit(None);
    assert_eq!((exit.code, exit.oom_killed, exit.error.clone()), (3, false, None));
    assert!(exit.started_at.unwrap() <= exit.finished_at);
    assert_eq!(shim.ended(), 0);
    let mut log = shim.log();
    log.sort();
    let expected = [("stderr", "err\n"), ("stdout", "end"), ("stdout", "out\n")];
    assert_eq!(log, expected.map(|(stream, text)| (stream.to_owned(), text.to_owned())));
    let state = shim.state();
    assert_eq!((state.status, state.exit), (TaskStatus::Stopped, Some(exit)));
    assert_eq!(shim.own_log(), "");
}

#[test]
fn who_attaches_before_the_start_loses_nothing() {
    for _ in 0..5 {
        let mut shim = Setup::shell("yes 0123456789abcde | head -c 262144").create();
        let mut other = shim.connect();
        let mut second = other.attach(false);
        let mut first = shim.start_attached(false);
        let reader = std::thread::spawn(move || Frames::read(&mut second));
        let frames = Frames::read(&mut first);
        assert_eq!(frames.stdout, b"0123456789abcde\n".repeat(16_384));
        assert_eq!(reader.join().unwrap(), frames);
    }
}

#[test]
fn who_attaches_late_gets_what_comes_then_and_may_leave() {
    let mut shim =
        Setup::shell("echo early; read x; echo \"got $x\"; read y; echo \"then $y\"").stdin().create();
    let mut first = shim.start_attached(true);
    let mut frames = Frames::default();
    assert!(frames.read_one(&mut first));
    let mut second = shim.connect().attach(false);
    first.write_all(b"one\n").unwrap();
    let mut late = Frames::default();
    assert!(late.read_one(&mut second));
    assert_eq!(late.stdout, b"got one\n");
    drop((first, second));
    let mut third = shim.connect().attach(true);
    third.write_all(b"two\n").unwrap();
    assert_eq!(Frames::read(&mut third).stdout, b"then two\n");
    assert_eq!(shim.client.exit(None).code, 0);
}

#[test]
fn the_end_of_input_reaches_the_container() {
    let mut shim = Setup::shell("cat; echo end").stdin().create();
    let mut stream = shim.start_attached(true);
    stream.write_all(b"hello ").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(Frames::read(&mut stream).stdout, b"hello end\n");
    assert_eq!(shim.client.exit(None).code, 0);
}

#[test]
fn input_ends_with_its_only_client_where_asked() {
    let mut setup = Setup::shell("cat; echo end").stdin();
    setup.task.stdin_once = true;
    let mut shim = setup.create();
    let mut stream = shim.start_attached(true);
    stream.write_all(b"x").unwrap();
    drop(stream);
    assert_eq!(shim.client.exit(None).code, 0);
    shim.ended();
    assert_eq!(shim.log(), [("stdout".to_owned(), "xend\n".to_owned())]);
}

#[test]
fn without_stdin_a_container_reads_nothing() {
    let mut shim = Setup::shell("cat; echo end").create();
    let mut stream = shim.start_attached(true);
    assert_eq!(Frames::read(&mut stream).stdout, b"end\n");
    assert_eq!(stream.write_all(b"x").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn a_client_learns_that_the_container_closed_its_input() {
    let mut shim = Setup::shell("exec <&-; echo closed; sleep 60").stdin().create();
    let mut stream = shim.start_attached(true);
    Frames::default().read_one(&mut stream);
    eventually("EPIPE", || stream.write_all(b"x").is_err());
}

#[test]
fn five_megabytes_come_back_as_they_went() {
    let mut setup = Setup::command(&["/bin/cat"]).stdin();
    setup.task.log = None;
    let mut shim = setup.create();
    let mut stream = shim.start_attached(true);
    let sent: Vec<u8> = (0..5_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let bytes = sent.clone();
    let thread = std::thread::spawn(move || {
        writer.write_all(&bytes).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    assert!(Frames::read(&mut stream).stdout == sent, "the bytes differ");
    thread.join().unwrap();
    assert_eq!(shim.client.exit(None).code, 0);
}

#[test]
fn a_slow_foreground_reader_holds_the_container_up_and_loses_nothing() {
    let mut setup = Setup::shell("yes 0123456789abcde | head -c 4194304; touch /written");
    setup.task.log = None;
    let mut shim = setup.create();
    let mut stream = shim.start_attached(false);
    let marker = shim.run.path().join("rootfs/written");
    std::thread::sleep(Duration::from_millis(500));
    assert!(!marker.exists());
    assert!(matches!(shim.client.ask(&Request::State), Reply::State(_)), "the shim is blocked");
    assert_eq!(Frames::read(&mut stream).stdout, b"0123456789abcde\n".repeat(262_144));
    assert_eq!(shim.client.exit(None).code, 0);
    assert!(marker.exists());
}

#[test]
fn an_observer_that_does_not_read_is_dropped() {
    let mut setup = Setup::shell("read x; yes 0123456789abcde | head -c 8388608").stdin();
    setup.task.log = None;
    let mut shim = setup.create();
    let mut foreground = shim.start_attached(true);
    let mut observer = shim.connect().attach(false);
    foreground.write_all(b"go\n").unwrap();
    assert_eq!(Frames::read(&mut foreground).stdout.len(), 8_388_608);
    assert_eq!(shim.client.exit(None).code, 0);
    let mut rest = Vec::new();
    observer.read_to_end(&mut rest).unwrap();
    assert!(rest.len() < 8_388_608, "{}", rest.len());
    assert_eq!(shim.ended(), 0);
}

#[test]
fn two_hundred_megabytes_leave_the_memory_flat() {
    let line = "x".repeat(127);
    let mut setup = Setup::shell(&format!("read x; yes {line} | head -c 209715200; read x")).stdin();
    setup.task.log = Some("/dev/null".into());
    let mut shim = setup.create();
    let mut stream = shim.start_attached(true);
    let resident = |pid: i32| -> u64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap().to_owned();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let before = resident(shim.pid);
    stream.write_all(b"go\n").unwrap();
    let mut frames = Frames::default();
    let mut received = 0;
    while received < 209_715_200 {
        assert!(frames.read_one(&mut stream));
        received += std::mem::take(&mut frames.stdout).len();
    }
    let growth = resident(shim.pid).saturating_sub(before);
    assert!(growth < 1024, "{growth} KiB more than {before} KiB");
    stream.write_all(b"end\n").unwrap();
    assert_eq!(shim.client.exit(None).code, 0);
}

#[test]
fn a_program_that_is_not_root_may_open_its_output_by_name() {
    let mut setup = Setup::shell("echo out > /proc/self/fd/1; echo err > /proc/self/fd/2").own_ids();
    setup.process().user.uid = 1000;
    setup.process().user.gid = 1000;
    let mut shim = setup.create();
    let mut stream = shim.start_attached(false);
    let frames = Frames::read(&mut stream);
    assert_eq!((&frames.stdout[..], &frames.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
}

#[test]
fn a_full_disk_costs_the_log_and_not_the_container() {
    let mut setup = Setup::shell("read x; echo one; echo two");
    setup.task.log = Some("/dev/full".into());
    let mut shim = setup.create();
    let mut stream = shim.start_attached(false);
    assert_eq!(Frames::read(&mut stream).stdout, b"one\ntwo\n");
    assert_eq!(shim.client.exit(None).code, 0);
    let complaint =
        "sampan-shim: cannot write the container's log, output is being lost: No space left on device";
    assert_eq!(shim.own_log().matches(complaint).count(), 1, "{}", shim.own_log());
}
