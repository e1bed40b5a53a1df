//! `-t`: a terminal of the container's own, joined to the person's.

use sampan_tests::{Sandbox, Terminal, eventually};

#[test]
fn a_program_with_t_has_a_terminal_of_the_windows_size() {
    let sandbox = Sandbox::new();
    let words = ["run", "--rm", "-it", "--network", "none", "busybox", "sh"];
    let mut terminal = Terminal::new(&sandbox, &words, 33, 101);
    terminal.send("tty; stty size; echo \"term=$TERM\"\n");
    terminal.expect("/dev/pts/0");
    terminal.expect("33 101");
    terminal.expect("term=xterm");
    terminal.send("exit 5\n");
    assert_eq!(terminal.end(), 5);
}

#[test]
fn a_new_window_size_reaches_the_container() {
    let sandbox = Sandbox::new();
    let words = ["run", "--rm", "-it", "--network", "none", "busybox", "sh"];
    let mut terminal = Terminal::new(&sandbox, &words, 24, 80);
    terminal.send("stty size\n");
    terminal.expect("24 80");
    terminal.resize(50, 160);
    terminal.send("until stty size | grep -q '50 160'; do sleep 0.1; done; echo resi'zed'\n");
    terminal.expect("resized");
    terminal.send("exit\n");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn ctrl_c_is_typed_into_the_container() {
    let sandbox = Sandbox::new();
    let words = ["run", "--rm", "-it", "--network", "none", "busybox", "sh"];
    let mut terminal = Terminal::new(&sandbox, &words, 24, 80);
    // The line is echoed before the shell is there; what it prints tells that it runs.
    terminal.send("echo be'gun'; sleep 1000\n");
    terminal.expect("begun");
    terminal.send("\x03");
    terminal.send("echo still here: $?\n");
    terminal.expect("still here: 130");
    terminal.send("exit\n");
    terminal.end();
}

#[test]
fn ctrl_p_ctrl_q_leaves_the_container_running() {
    let sandbox = Sandbox::new();
    let words = ["run", "--name", "left", "-it", "--network", "none", "busybox", "sh"];
    let mut terminal = Terminal::new(&sandbox, &words, 24, 80);
    terminal.send("echo rea'dy'\n");
    terminal.expect("ready");
    terminal.send("\x10\x11");
    assert_eq!(terminal.end(), 0);
    assert_eq!(sandbox.state("left"), "running");

    let mut again = Terminal::new(&sandbox, &["attach", "left"], 24, 80);
    again.send("echo ba'ck'\n");
    again.expect("back");
    again.send("exit 3\n");
    assert_eq!(again.end(), 3);
}

#[test]
fn exec_with_it_has_a_terminal_of_its_own() {
    let sandbox = Sandbox::new();
    sandbox.sleeper("box", "--network none");
    let mut terminal = Terminal::new(&sandbox, &["exec", "-it", "box", "sh"], 30, 90);
    terminal.send("stty size; tty\n");
    terminal.expect("30 90");
    terminal.expect("/dev/pts/");
    terminal.resize(41, 91);
    terminal.send("until stty size | grep -q '41 91'; do sleep 0.1; done; echo resi'zed'\n");
    terminal.expect("resized");
    terminal.send("exit 9\n");
    assert_eq!(terminal.end(), 9);
    assert_eq!(sandbox.state("box"), "running");
}

#[test]
fn it_without_a_terminal_is_refused_with_a_remedy() {
    let sandbox = Sandbox::new();
    sandbox.sampan("run --rm -it busybox sh").code(125).error("terminal", "", "-t");
}

#[test]
fn the_terminal_is_given_back_as_it_was() {
    let sandbox = Sandbox::new();
    let program = sampan_tests::places::program();
    // A shell at the terminal sees the settings before and after.
    let line = format!(
        "stty -g >/dev/tty; {} --root {} --run {} run --rm -it --network none busybox true; stty -g >/dev/tty",
        program.display(),
        sandbox.root().display(),
        sandbox.run_dir().display()
    );
    let mut shell = Terminal::shell(&line, 24, 80);
    assert_eq!(shell.end(), 0);
    eventually("both settings are shown", || shell.screen().lines().count() >= 2);
    let screen = shell.screen();
    let settings: Vec<&str> = screen.lines().filter(|line| line.contains(':')).collect();
    assert_eq!(settings.first(), settings.last(), "{screen}");
}
