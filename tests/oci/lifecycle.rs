//! Every verb in every state: what is legal, and what a refusal leaves alone.

use crate::support::{Case, within};

fn none() -> Case {
    Case::idle()
}

fn created() -> Case {
    let case = Case::idle();
    case.create().code(0);
    case
}

fn running() -> Case {
    let case = Case::idle();
    case.detached();
    case
}

fn stopped() -> Case {
    let case = Case::new();
    case.detached();
    case.becomes("stopped");
    case
}

fn paused() -> Case {
    let case = running();
    case.call(&["pause", case.id()]).code(0);
    case
}

/// Each: in a state, a verb with its options; whether it succeeds, and the status afterwards.
macro_rules! verbs {
    ($($name:ident: $state:ident, $words:expr => $fine:literal, $after:literal;)*) => {
        $(#[test]
        fn $name() {
            let case = $state();
            let words: &[&str] = &$words;
            let (verb, options) = words.split_first().unwrap();
            // What stands after `ID` follows the id.
            let mut line = vec![*verb];
            let mut options = options.iter().copied();
            line.extend(options.by_ref().take_while(|word| *word != "ID"));
            line.push(case.id());
            line.extend(options);
            let said = case.call(&line);
            assert_eq!(said.code == 0, $fine, "{said}");
            let after: &str = $after;
            within(10, &format!("{after} after {said}"), || (case.status() == after).then_some(()));
        })*
    };
}

verbs! {
    nothing_cannot_be_started: none, ["start"] => false, "none";
    nothing_has_no_state: none, ["state"] => false, "none";
    nothing_cannot_be_killed: none, ["kill", "ID", "KILL"] => false, "none";
    nothing_cannot_be_killed_with_all: none, ["kill", "--all", "ID", "KILL"] => false, "none";
    nothing_cannot_be_deleted: none, ["delete"] => false, "none";
    nothing_can_be_deleted_by_force: none, ["delete", "--force"] => true, "none";
    nothing_takes_no_exec: none, ["exec", "ID", "true"] => false, "none";
    nothing_cannot_be_paused: none, ["pause"] => false, "none";
    nothing_cannot_be_resumed: none, ["resume"] => false, "none";
    nothing_has_no_processes: none, ["ps"] => false, "none";
    nothing_cannot_be_updated: none, ["update", "--pids-limit", "10"] => false, "none";
    nothing_has_no_events: none, ["events", "--stats"] => false, "none";

    created_has_a_state: created, ["state"] => true, "created";
    created_can_be_started: created, ["start"] => true, "running";
    created_can_be_killed: created, ["kill", "ID", "KILL"] => true, "stopped";
    created_can_be_terminated_by_name: created, ["kill", "ID", "SIGKILL"] => true, "stopped";
    created_can_be_deleted_by_force: created, ["delete", "--force"] => true, "none";
    created_takes_an_exec: created, ["exec", "ID", "true"] => true, "created";
    created_has_processes: created, ["ps"] => true, "created";
    created_can_be_paused: created, ["pause"] => true, "paused";
    created_cannot_be_resumed: created, ["resume"] => false, "created";
    created_can_be_updated: created, ["update", "--pids-limit", "10"] => true, "created";

    running_has_a_state: running, ["state"] => true, "running";
    running_cannot_be_started: running, ["start"] => false, "running";
    running_cannot_be_deleted: running, ["delete"] => false, "running";
    running_can_be_deleted_by_force: running, ["delete", "--force"] => true, "none";
    running_can_be_killed: running, ["kill", "ID", "KILL"] => true, "stopped";
    running_can_be_killed_with_all: running, ["kill", "--all", "ID", "KILL"] => true, "stopped";
    running_can_be_killed_by_number: running, ["kill", "ID", "9"] => true, "stopped";
    running_can_be_killed_in_lower_case: running, ["kill", "ID", "kill"] => true, "stopped";
    running_ignores_what_its_first_process_has_no_handler_for: running, ["kill", "ID", "TERM"] => true, "running";
    running_takes_terminate_when_no_signal_is_named: running, ["kill"] => true, "running";
    running_refuses_an_unknown_signal: running, ["kill", "ID", "SIGNONE"] => false, "running";
    running_refuses_a_signal_beyond_the_last: running, ["kill", "ID", "99"] => false, "running";
    running_takes_signal_zero: running, ["kill", "ID", "0"] => true, "running";
    running_takes_an_exec: running, ["exec", "ID", "true"] => true, "running";
    running_can_be_paused: running, ["pause"] => true, "paused";
    running_cannot_be_resumed: running, ["resume"] => false, "running";
    running_has_processes: running, ["ps"] => true, "running";
    running_can_be_updated: running, ["update", "--pids-limit", "10"] => true, "running";

    stopped_has_a_state: stopped, ["state"] => true, "stopped";
    stopped_cannot_be_started: stopped, ["start"] => false, "stopped";
    stopped_cannot_be_killed: stopped, ["kill", "ID", "KILL"] => false, "stopped";
    stopped_takes_no_signal_zero: stopped, ["kill", "ID", "0"] => false, "stopped";
    stopped_can_be_killed_with_all: stopped, ["kill", "--all", "ID", "KILL"] => true, "stopped";
    stopped_takes_no_exec: stopped, ["exec", "ID", "true"] => false, "stopped";
    stopped_cannot_be_paused: stopped, ["pause"] => false, "stopped";
    stopped_cannot_be_resumed: stopped, ["resume"] => false, "stopped";
    stopped_can_be_deleted: stopped, ["delete"] => true, "none";
    stopped_can_be_deleted_by_force: stopped, ["delete", "--force"] => true, "none";
    stopped_can_be_asked_for_processes: stopped, ["ps"] => true, "stopped";

    paused_has_a_state: paused, ["state"] => true, "paused";
    paused_cannot_be_started: paused, ["start"] => false, "paused";
    paused_cannot_be_deleted: paused, ["delete"] => false, "paused";
    paused_can_be_deleted_by_force: paused, ["delete", "--force"] => true, "none";
    paused_takes_no_exec: paused, ["exec", "ID", "true"] => false, "paused";
    paused_can_be_resumed: paused, ["resume"] => true, "running";
    paused_has_processes: paused, ["ps"] => true, "paused";
    paused_stays_so_when_updated: paused, ["update", "--pids-limit", "10"] => true, "paused";
}

#[test]
fn a_paused_container_can_be_killed() {
    let case = paused();
    case.kill("KILL").code(0);
    let status = case.status();
    if status == "paused" {
        case.call(&["resume", case.id()]).code(0);
    }
    case.becomes("stopped");
}

#[test]
fn the_program_does_not_run_before_start() {
    let case = Case::sh("touch /started; sleep 1000");
    case.create().code(0);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(!case.rootfs("started").exists());
    case.start().code(0);
    case.appears("started");
}

#[test]
fn a_configuration_that_changes_after_create_has_no_effect() {
    let mut case = Case::sh("echo first > /which; sleep 1000");
    case.create().code(0);
    case.set("/process/args", ["sh", "-c", "echo second > /which; sleep 1000"]).write();
    case.start().code(0);
    within(10, "the program writes", || (case.appears("which") == "first\n").then_some(()));
}

#[test]
fn a_configuration_that_vanishes_after_create_has_no_effect() {
    let case = Case::sh("echo here > /which; sleep 1000");
    case.create().code(0);
    std::fs::remove_file(case.bundle().join("config.json")).unwrap();
    case.start().code(0);
    case.appears("which");
    case.delete_force().code(0);
}

#[test]
fn output_after_create_reaches_the_files_of_create() {
    let case = Case::sh("echo later");
    case.create().code(0);
    case.start().code(0);
    case.becomes("stopped");
    assert_eq!(case.said(0), "later\n");
}

#[test]
fn an_exit_before_anybody_looks_is_stopped() {
    let case = Case::sh("exit 3");
    case.create().code(0);
    case.start().code(0);
    case.becomes("stopped");
    case.delete().code(0);
    case.nothing_left();
}

#[test]
fn run_leaves_nothing() {
    let case = Case::new();
    case.run().code(0);
    assert_eq!(case.status(), "none");
    case.nothing_left();
}

#[test]
fn run_with_keep_leaves_a_stopped_container() {
    let case = Case::sh("exit 4");
    case.run_with(&["--keep"]).code(4);
    assert_eq!(case.status(), "stopped");
    case.delete().code(0);
    case.nothing_left();
}

#[test]
fn delete_ends_what_is_left_in_the_control_group() {
    let mut case = Case::sh("sleep 1000 & sleep 1001 & exit 0");
    case.without_namespace("pid");
    case.detached();
    case.becomes("stopped");
    case.delete_force().code(0);
    case.nothing_left();
}

#[test]
fn kill_all_reaches_every_process_of_the_host_pid_namespace() {
    let mut case = Case::sh("sleep 1000 & sleep 1001 & echo up > /up; wait");
    case.without_namespace("pid");
    case.detached();
    case.appears("up");
    case.call(&["kill", "--all", case.id(), "KILL"]).code(0);
    case.becomes("stopped");
    let procs = case.cgroup_file("pids", "cgroup.procs").unwrap_or_default();
    within(10, "all have ended", || {
        (case.cgroup_file("pids", "cgroup.procs").unwrap_or_default().is_empty()).then_some(())
    });
    drop(procs);
}

#[test]
fn kill_reaches_every_process_of_the_host_pid_namespace_when_the_first_is_killed() {
    let mut case = Case::sh("sleep 1000 & echo up > /up; wait");
    case.without_namespace("pid");
    case.detached();
    case.appears("up");
    case.kill("KILL").code(0);
    case.becomes("stopped");
    within(10, "all have ended", || {
        case.cgroup_file("pids", "cgroup.procs").unwrap_or_default().is_empty().then_some(())
    });
}

#[test]
fn a_program_with_a_handler_gets_the_signal() {
    let case = Case::sh("trap 'echo usr1 > /got; exit 5' USR1; echo up > /up; while :; do sleep 0.05; done");
    case.detached();
    case.appears("up");
    case.kill("USR1").code(0);
    assert_eq!(case.appears("got"), "usr1\n");
    case.becomes("stopped");
}

#[test]
fn signals_of_real_time_are_known() {
    let case = running();
    for signal in ["RTMIN", "SIGRTMIN+1", "RTMAX-1", "SIGRTMAX"] {
        case.kill(signal).code(0);
    }
    assert_eq!(case.status(), "running");
}

#[test]
fn two_starts_at_once_run_the_program_once() {
    let case = Case::sh("echo run >> /runs; sleep 1000");
    case.create().code(0);
    let mut first = case.spawn(quiet(case.command(&["start", case.id()])));
    let mut second = case.spawn(quiet(case.command(&["start", case.id()])));
    let codes = [case.reap(&mut first), case.reap(&mut second)];
    assert!(codes.contains(&0), "{codes:?}");
    case.appears("runs");
    assert_eq!(case.status(), "running");
    assert_eq!(std::fs::read_to_string(case.rootfs("runs")).unwrap(), "run\n");
}

#[test]
fn two_deletes_at_once_leave_nothing() {
    let case = running();
    let force = || quiet(case.command(&["delete", "--force", case.id()]));
    let mut first = case.spawn(force());
    let mut second = case.spawn(force());
    let codes = [case.reap(&mut first), case.reap(&mut second)];
    assert!(codes.contains(&0), "{codes:?}");
    case.nothing_left();
}

#[test]
fn two_creates_at_once_make_one_container() {
    let case = Case::idle();
    let mut first = case.spawn(quiet(case.bundled("create", &[])));
    let mut second = case.spawn(quiet(case.bundled("create", &[])));
    let codes = [case.reap(&mut first), case.reap(&mut second)];
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert_eq!(case.status(), "created");
}

/// Without output: a container would keep it open.
fn quiet(mut command: std::process::Command) -> std::process::Command {
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command
}

#[test]
fn a_container_whose_bundle_is_gone_can_be_deleted() {
    let case = running();
    case.kill("KILL").code(0);
    case.becomes("stopped");
    std::fs::remove_dir_all(case.bundle()).unwrap();
    case.delete().code(0);
    case.nothing_left();
}

#[test]
fn a_killed_creator_does_not_take_the_container_along() {
    let case = running();
    // The call that made it has ended; nobody of it may be needed.
    assert!(case.exec(&["true"]).code == 0);
    case.kill("KILL").code(0);
    case.becomes("stopped");
}

#[test]
fn delete_takes_control_groups_that_the_container_made() {
    let case = running();
    let made = crate::support::hierarchies().iter().filter_map(|(_, top)| {
        let below = top.join(case.cgroup().trim_start_matches('/')).join("deep/deeper");
        std::fs::create_dir_all(&below).ok()
    });
    assert!(made.count() > 0);
    case.delete_force().code(0);
    case.nothing_left();
}

#[test]
fn force_on_a_container_whose_first_process_ended_ends_the_rest() {
    let mut case = Case::sh("sleep 1000 & exit 0");
    case.without_namespace("pid");
    case.detached();
    case.becomes("stopped");
    case.delete_force().code(0);
    case.nothing_left();
}

#[test]
fn the_first_process_of_a_pid_namespace_is_one_and_has_no_parent() {
    let case = Case::sh("echo $$; grep PPid /proc/self/status | tr -d '\\t'; cut -d' ' -f4 /proc/1/stat");
    let said = case.run().ok();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], lines[2]), ("1", "0"), "{said}");
}

#[test]
fn a_zombie_counts_as_stopped() {
    // The parent of the container's first process is this test's reaper or pid 1; its status is stopped either way.
    let case = Case::sh("exit 0");
    case.detached();
    case.becomes("stopped");
    assert_eq!(case.kill("TERM").code, 1);
}
