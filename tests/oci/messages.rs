//! Words of errors that callers match on: podman, containerd and their libraries look for these.

use crate::support::Case;

#[test]
fn a_container_that_is_not_there() {
    let case = Case::new();
    for words in [
        vec!["state", "nobody"],
        vec!["start", "nobody"],
        vec!["kill", "nobody", "KILL"],
        vec!["delete", "nobody"],
        vec!["ps", "nobody"],
        vec!["pause", "nobody"],
        vec!["exec", "nobody", "true"],
    ] {
        case.call(&words).failed().complains("does not exist");
    }
}

#[test]
fn a_container_that_is_there_already() {
    let case = Case::idle();
    case.create().code(0);
    case.create().failed().complains("already exists");
}

#[test]
fn killing_a_stopped_container() {
    let case = Case::new();
    case.detached();
    case.becomes("stopped");
    case.kill("KILL").failed().complains("container not running");
}

#[test]
fn starting_a_running_container() {
    let case = Case::idle();
    case.detached();
    case.start().failed().complains("cannot start an already running container");
}

#[test]
fn starting_a_stopped_container() {
    let case = Case::new();
    case.detached();
    case.becomes("stopped");
    case.start().failed().complains("cannot start a container that has stopped");
}

#[test]
fn deleting_a_running_container() {
    let case = Case::idle();
    case.detached();
    let said = case.delete().failed();
    assert!(said.err.contains("is not stopped") && said.err.contains("running"), "{said}");
}

#[test]
fn exec_in_a_stopped_container() {
    let case = Case::new();
    case.detached();
    case.becomes("stopped");
    case.exec(&["true"]).code(255).complains("cannot exec in a stopped container");
}

#[test]
fn exec_in_a_paused_container() {
    let case = Case::idle();
    case.detached();
    case.call(&["pause", case.id()]).code(0);
    case.exec(&["true"]).code(255).complains("cannot exec in a paused container");
}

#[test]
fn resuming_what_is_not_paused() {
    let case = Case::idle();
    case.detached();
    case.call(&["resume", case.id()]).failed().complains("container not paused");
}

#[test]
fn an_unknown_signal() {
    let case = Case::idle();
    case.detached();
    case.kill("SIGNONE").failed().complains("SIGNONE");
}

#[test]
fn a_program_that_is_not_in_the_path() {
    let mut case = Case::new();
    case.set("/process/args", ["nosuchprogram"]);
    case.run().failed().complains("executable file not found in $PATH");
}

#[test]
fn a_program_of_a_path_that_is_not_there() {
    let mut case = Case::new();
    case.set("/process/args", ["/nosuchprogram"]);
    case.run().failed().complains("no such file or directory");
}

#[test]
fn a_terminal_without_a_console_socket() {
    let mut case = Case::new();
    case.set("/process/terminal", true);
    case.create()
        .failed()
        .complains("cannot allocate tty if runc will detach without setting console socket");
    case.nothing_left();
}

#[test]
fn a_console_socket_without_a_terminal() {
    let case = Case::new();
    case.create_with(&["--console-socket", "/tmp/none"]).failed().complains("console socket");
    case.nothing_left();
}

#[test]
fn a_process_without_words() {
    let mut case = Case::new();
    case.set("/process/args", Vec::<String>::new());
    case.create().failed().complains("args");
    case.nothing_left();
}

#[test]
fn a_configuration_without_a_process() {
    let mut case = Case::new();
    case.unset("/process");
    case.create().failed();
    case.nothing_left();
}

#[test]
fn a_working_directory_that_is_not_absolute() {
    let mut case = Case::new();
    case.set("/process/cwd", "tmp");
    case.create().failed().complains("absolute");
    case.nothing_left();
}

#[test]
fn a_host_name_without_a_namespace_for_it() {
    let mut case = Case::new();
    case.without_namespace("uts");
    case.create().failed().complains("UTS namespace");
    case.nothing_left();
}

#[test]
fn a_root_that_is_not_there() {
    let mut case = Case::new();
    case.set("/root/path", "nowhere");
    case.create().failed().complains("nowhere");
    case.nothing_left();
}
