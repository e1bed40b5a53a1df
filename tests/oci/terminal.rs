//! Terminals: through the console socket, and in the foreground.

use crate::support::{Case, Console, ConsoleSocket, within};
use sampan_tests::Terminal;
use std::process::Command;

/// A case with a terminal that runs a script.
fn at_terminal(script: &str) -> Case {
    let mut case = Case::sh(script);
    case.set("/process/terminal", true);
    case
}

/// Runs it detached; gives the master and the bytes beside it.
#[track_caller]
fn detached(case: &Case) -> (Console, Vec<u8>) {
    let socket = ConsoleSocket::bind(&case.base().join("console"));
    case.run_with(&["--detach", "--console-socket", socket.word()]).code(0);
    socket.master()
}

/// Output of a script at a terminal.
#[track_caller]
fn shown(script: &str) -> String {
    let case = at_terminal(script);
    let (mut console, _) = detached(&case);
    console.rest()
}

#[test]
fn the_master_is_sent_with_the_name_of_its_terminal() {
    let case = at_terminal("sleep 1000");
    let (_console, name) = detached(&case);
    let name = String::from_utf8(name).unwrap();
    assert!(name.trim_end_matches('\0').starts_with("/dev/p"), "{name:?}");
}

#[test]
fn the_program_has_the_terminal_on_all_three_streams() {
    let said = shown("for fd in 0 1 2; do [ -t $fd ] && echo yes; done; tty");
    assert_eq!(said.matches("yes").count(), 3, "{said}");
    assert!(said.contains("/dev/pts/0"), "{said}");
}

#[test]
fn it_is_the_controlling_terminal() {
    let said = shown("echo hello > /dev/tty; ps -o pid,tty 2>/dev/null | head -3");
    assert!(said.contains("hello"), "{said}");
}

#[test]
fn a_newline_is_not_made_a_carriage_return_twice() {
    let said = shown("printf 'one\\ntwo\\n'");
    assert!(!said.contains("\r\r\n"), "{said:?}");
    assert!(said.contains("one\n") || said.contains("one\r\n"), "{said:?}");
}

#[test]
fn the_size_is_the_configurations() {
    let mut case = at_terminal("stty size");
    case.set("/process/consoleSize", serde_json::json!({ "height": 13, "width": 57 }));
    let (mut console, _) = detached(&case);
    assert!(console.rest().contains("13 57"));
}

#[test]
fn the_size_may_be_set_by_the_one_who_has_the_master() {
    use rustix::termios::{Winsize, tcsetwinsize};
    let case = at_terminal("trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done");
    let (mut console, _) = detached(&case);
    console.until("up");
    tcsetwinsize(&console.master, Winsize { ws_row: 21, ws_col: 43, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    console.until("21 43");
}

#[test]
fn what_is_typed_reaches_the_program() {
    let case = at_terminal("read line; echo got $line");
    let (mut console, _) = detached(&case);
    console.send("hello\n");
    assert!(console.rest().contains("got hello"));
}

#[test]
fn an_interrupt_typed_is_a_signal() {
    let case = at_terminal("trap 'echo interrupted; exit 0' INT; echo up; while :; do sleep 0.05; done");
    let (mut console, _) = detached(&case);
    console.until("up");
    console.send("\u{3}");
    assert!(console.rest().contains("interrupted"));
}

#[test]
fn the_end_of_input_can_be_typed() {
    let case = at_terminal("cat > /typed; echo done");
    let (mut console, _) = detached(&case);
    console.send("text\n\u{4}");
    console.until("done");
    assert_eq!(case.appears("typed"), "text\n");
}

#[test]
fn closing_the_master_hangs_up() {
    let case = at_terminal("trap 'echo hup > /hup; exit 0' HUP; echo up; while :; do sleep 0.05; done");
    let (mut console, _) = detached(&case);
    console.until("up");
    drop(console);
    assert_eq!(case.appears("hup"), "hup\n");
}

#[test]
fn the_terminal_belongs_to_the_user_and_the_group_of_terminals() {
    let mut case = at_terminal("stat -c '%u:%g' $(tty)");
    case.set("/process/user", serde_json::json!({ "uid": 1000, "gid": 1000 }));
    let (mut console, _) = detached(&case);
    let said = console.rest();
    assert!(said.contains("1000:5"), "{said}");
}

#[test]
fn the_console_device_is_the_terminal() {
    let said = shown(
        "echo through > /dev/console; stat -c '%t:%T' /dev/console $(tty) | uniq | wc -l; ls -l /dev/console",
    );
    assert!(said.contains("through"), "{said}");
    assert!(said.lines().any(|line| line.trim() == "1"), "{said}");
}

#[test]
fn the_container_has_no_console_device_without_a_terminal() {
    let said = Case::sh("[ -e /dev/console ] && echo yes || echo no").run().ok();
    assert_eq!(said, "no");
}

#[test]
fn the_console_works_over_a_root_without_dev() {
    let mut case = at_terminal("test -c /dev/console && echo device");
    // A root that brings a file of that name.
    std::fs::write(case.rootfs("dev/console"), "").unwrap();
    let mounts = case.config["mounts"].as_array().unwrap().clone();
    let kept: Vec<_> = mounts
        .into_iter()
        .filter(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"))
        .collect();
    case.set("/mounts", kept);
    let socket = ConsoleSocket::bind(&case.base().join("console"));
    case.run_with(&["--detach", "--console-socket", socket.word()]);
}

#[test]
fn the_master_is_sent_at_create() {
    let case = at_terminal("echo started");
    let socket = ConsoleSocket::bind(&case.base().join("console"));
    case.create_with(&["--console-socket", socket.word()]).code(0);
    let (mut console, _) = socket.master();
    case.start().code(0);
    assert!(console.rest().contains("started"));
}

#[test]
fn a_terminal_of_a_detached_container_needs_a_console_socket() {
    let case = at_terminal("true");
    case.run_with(&["--detach"]).failed();
    case.nothing_left();
    case.create().failed();
    case.nothing_left();
}

#[test]
fn a_console_socket_needs_a_terminal() {
    let case = Case::new();
    let socket = ConsoleSocket::bind(&case.base().join("console"));
    case.create_with(&["--console-socket", socket.word()]).failed();
    case.nothing_left();
}

#[test]
fn a_console_socket_that_is_not_there_fails_and_leaves_nothing() {
    let case = at_terminal("true");
    case.create_with(&["--console-socket", &case.path("nosocket")]).failed();
    case.nothing_left();
}

#[test]
fn a_console_socket_that_is_a_file_fails_and_leaves_nothing() {
    let case = at_terminal("true");
    std::fs::write(case.base().join("file"), "").unwrap();
    case.create_with(&["--console-socket", &case.path("file")]).failed();
    case.nothing_left();
}

#[test]
fn a_new_instance_of_terminals_is_the_containers_own() {
    let said = shown("ls /dev/pts");
    let mut names: Vec<&str> = said.split_whitespace().collect();
    names.sort_unstable();
    assert_eq!(names, ["0", "ptmx"], "{said}");
}

#[test]
fn the_terminal_multiplexer_is_a_link_into_the_instance() {
    assert_eq!(Case::sh("readlink /dev/ptmx").run().ok(), "pts/ptmx");
}

/// Runs a case in the foreground of a terminal of 31 × 91.
fn in_foreground(case: &Case) -> Terminal {
    Terminal::shell(&line(&case.bundled("run", &[])), 31, 91)
}

#[test]
fn in_the_foreground_output_is_copied_to_the_callers_terminal() {
    let case = at_terminal("tty; echo shown");
    let mut terminal = in_foreground(&case);
    terminal.expect("/dev/pts/0");
    terminal.expect("shown");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn in_the_foreground_the_exit_code_is_the_programs() {
    let case = at_terminal("exit 9");
    assert_eq!(in_foreground(&case).end(), 9);
}

#[test]
fn in_the_foreground_the_size_is_the_callers() {
    let case = at_terminal("sleep 0.1; stty size");
    let mut terminal = in_foreground(&case);
    terminal.expect("31 91");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn in_the_foreground_what_is_typed_comes_through() {
    let case = at_terminal("echo up; read line; echo got $line");
    let mut terminal = in_foreground(&case);
    terminal.expect("up");
    terminal.send("hello\n");
    terminal.expect("got hello");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn in_the_foreground_a_newline_is_not_processed_twice() {
    let case = at_terminal("stty -a; printf 'one\\ntwo\\n'");
    let mut terminal = in_foreground(&case);
    assert_eq!(terminal.end(), 0);
    terminal.expect("-onlcr");
    terminal.expect("one");
    assert!(!terminal.screen().contains("\r\r\n"), "{:?}", terminal.screen());
}

#[test]
fn in_the_foreground_a_large_output_is_complete() {
    let case = at_terminal("seq 1 20000; echo the end");
    let mut terminal = in_foreground(&case);
    assert_eq!(terminal.end(), 0);
    terminal.expect("the end");
    assert!(terminal.screen().contains("\n19999"));
}

#[test]
fn the_callers_terminal_is_as_before_afterwards() {
    let case = at_terminal("stty raw -echo");
    let inner = line(&case.bundled("run", &[])).replacen("exec ", "", 1);
    let mut terminal = Terminal::shell(
        &format!("stty -g > {0}; {inner}; stty -g > {1}", case.path("before"), case.path("after")),
        20,
        60,
    );
    assert_eq!(terminal.end(), 0);
    let read = |name| std::fs::read_to_string(case.path(name)).unwrap();
    assert_eq!(read("before"), read("after"));
}

#[test]
fn exec_in_the_foreground_has_a_terminal() {
    let case = Case::idle();
    case.detached();
    let command =
        case.command(&["exec", "-t", case.id(), "sh", "-c", "tty; read line; echo got $line; exit 4"]);
    let mut terminal = Terminal::shell(&line(&command), 20, 60);
    terminal.expect("/dev/pts/0");
    terminal.send("hello\n");
    terminal.expect("got hello");
    assert_eq!(terminal.end(), 4);
}

#[test]
fn run_works_with_a_terminal_though_input_is_none() {
    let case = at_terminal("echo shown");
    let said = case.run();
    assert!(said.code == 0 && said.out.contains("shown"), "{said}");
}

#[test]
fn exec_works_with_a_terminal_though_input_is_none() {
    let case = Case::idle();
    case.detached();
    for flag in ["-t", "--tty"] {
        let said = case.exec_with(&[flag], &["sh", "-c", "tty; echo shown"]);
        assert!(said.code == 0 && said.out.contains("/dev/pts/") && said.out.contains("shown"), "{said}");
    }
}

#[test]
fn exec_has_a_terminal_of_its_own() {
    let case = at_terminal("echo up; sleep 1000");
    let (mut first, _) = detached(&case);
    first.until("up");
    let socket = ConsoleSocket::bind(&case.base().join("second"));
    let said = case.exec_with(&["--tty", "--detach", "--console-socket", socket.word()], &["tty"]);
    assert_eq!(said.code, 0, "{said}");
    let (mut second, _) = socket.master();
    assert!(second.rest().contains("/dev/pts/1"));
}

#[test]
fn a_detached_exec_with_a_terminal_needs_a_console_socket() {
    let case = Case::idle();
    case.detached();
    case.exec_with(&["--tty", "--detach"], &["true"]).failed();
}

#[test]
fn the_size_of_execs_terminal_is_that_of_its_process_file() {
    let case = Case::idle();
    case.detached();
    let process = serde_json::json!({
        "terminal": true, "consoleSize": { "height": 17, "width": 71 }, "user": { "uid": 0, "gid": 0 },
        "args": ["stty", "size"], "env": ["PATH=/bin"], "cwd": "/"
    });
    std::fs::write(case.base().join("process.json"), process.to_string()).unwrap();
    let socket = ConsoleSocket::bind(&case.base().join("console"));
    let file = case.path("process.json");
    case.exec_with(&["--detach", "--console-socket", socket.word(), "--process", &file], &[]).code(0);
    let (mut console, _) = socket.master();
    assert!(console.rest().contains("17 71"));
}

#[test]
fn an_execs_terminal_belongs_to_its_user() {
    let case = Case::idle();
    case.detached();
    let socket = ConsoleSocket::bind(&case.base().join("console"));
    let options = ["--tty", "--detach", "--user", "1000:1000", "--console-socket", socket.word()];
    case.exec_with(&options, &["sh", "-c", "stat -c %u:%g $(tty)"]).code(0);
    assert!(socket.master().0.rest().contains("1000:5"));
}

#[test]
fn resizing_the_callers_terminal_resizes_the_containers() {
    let case = at_terminal("trap 'stty size; exit 0' WINCH; echo up > /up; while :; do sleep 0.05; done");
    let mut terminal = Terminal::shell(&line(&case.bundled("run", &[])), 20, 60);
    case.appears("up");
    terminal.resize(33, 99);
    terminal.expect("33 99");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn an_interrupt_at_the_callers_terminal_reaches_the_program() {
    let case = at_terminal("trap 'echo interrupted; exit 0' INT; echo up; while :; do sleep 0.05; done");
    let mut terminal = Terminal::shell(&line(&case.bundled("run", &[])), 20, 60);
    terminal.expect("up");
    terminal.send("\u{3}");
    terminal.expect("interrupted");
    assert_eq!(terminal.end(), 0);
}

/// A command as one line of the shell.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    format!("exec {}", words.join(" "))
}

#[test]
fn a_terminal_works_in_a_user_namespace() {
    let mut case = at_terminal("tty; echo hello > /dev/console; stat -c %u $(tty)");
    case.user_namespace();
    let (mut console, _) = detached(&case);
    let said = console.rest();
    assert!(said.contains("/dev/pts/0") && said.contains("hello"), "{said}");
    assert!(said.lines().any(|line| line.trim() == "0"), "{said}");
}

#[test]
fn signals_sent_to_run_in_the_foreground_reach_the_program() {
    let case = Case::sh("trap 'echo term > /term; exit 6' TERM; echo up > /up; while :; do sleep 0.05; done");
    let mut command = case.bundled("run", &[]);
    command.stdout(std::process::Stdio::null());
    let mut child = case.spawn(command);
    case.appears("up");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(case.reap(&mut child), 6);
    assert_eq!(case.appears("term"), "term\n");
}

#[test]
fn signals_sent_to_exec_in_the_foreground_reach_its_program() {
    let case = Case::idle();
    case.detached();
    let script = "trap 'echo term > /term; exit 6' TERM; echo up > /up; while :; do sleep 0.05; done";
    let mut command = case.command(&["exec", case.id(), "sh", "-c", script]);
    command.stdout(std::process::Stdio::null());
    let mut child = case.spawn(command);
    case.appears("up");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(case.reap(&mut child), 6);
    within(10, "the file", || (case.appears("term") == "term\n").then_some(()));
}
