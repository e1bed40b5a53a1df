//! `exec`: a command in a container that is there.

mod groups;
mod process_file;

use crate::support::{Case, Value, within};
use std::process::Stdio;

fn running() -> Case {
    let case = Case::idle();
    case.detached();
    case
}

/// Runs a process file and gives what the call said.
#[track_caller]
fn process(case: &Case, process: &Value) -> crate::support::Said {
    std::fs::write(case.base().join("process.json"), process.to_string()).unwrap();
    case.exec_with(&["--process", &case.path("process.json")], &[])
}

/// A process file that runs a script.
fn script(script: &str) -> Value {
    serde_json::json!({
        "user": { "uid": 0, "gid": 0 }, "args": ["sh", "-c", script], "env": ["PATH=/bin"], "cwd": "/"
    })
}

#[test]
fn output_and_exit_code_are_the_commands() {
    let case = running();
    let said = case.exec_sh("echo out; echo err >&2; exit 5").code(5);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("out\n", "err\n"));
}

#[test]
fn a_signal_that_ends_the_command_is_in_the_exit_code() {
    let case = running();
    case.exec_sh("kill -TERM $$").code(143);
    case.exec_sh("kill -KILL $$").code(137);
}

#[test]
fn standard_input_reaches_the_command() {
    use std::io::Write as _;
    let case = running();
    let mut command = case.command(&["exec", case.id(), "sh", "-c", "cat > /got"]);
    command.stdin(Stdio::piped());
    let mut child = case.spawn(command);
    child.stdin.take().unwrap().write_all(b"typed\n").unwrap();
    assert_eq!(case.reap(&mut child), 0);
    assert_eq!(case.appears("got"), "typed\n");
}

#[test]
fn it_runs_in_the_containers_namespaces() {
    let case = running();
    let script = "for kind in pid net ipc uts mnt; do readlink /proc/self/ns/$kind; done; for kind in pid net ipc uts mnt; do readlink /proc/1/ns/$kind; done";
    let said = case.exec_sh(script).ok();
    let links: Vec<&str> = said.lines().collect();
    assert_eq!(links[..5], links[5..], "{said}");
}

#[test]
fn it_runs_in_the_containers_control_groups() {
    let case = running();
    case.exec_with(&["--detach", "--pid-file", &case.path("pid")], &["sleep", "996"]).code(0);
    let pid = std::fs::read_to_string(case.base().join("pid")).unwrap();
    let of = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert_eq!(of(&pid), of(&case.pid().to_string()));
}

#[test]
fn the_environment_is_the_configurations() {
    let mut case = Case::idle();
    case.set("/process/env/-", "FROM=config");
    case.detached();
    assert_eq!(case.exec_sh("echo $FROM").ok(), "config");
}

#[test]
fn variables_can_be_added() {
    let case = running();
    assert_eq!(
        case.exec_with(&["--env", "A=1", "--env", "B=2 3"], &["sh", "-c", "echo $A-$B"]).ok(),
        "1-2 3"
    );
}

#[test]
fn a_variable_added_wins_over_the_configurations() {
    let mut case = Case::idle();
    case.set("/process/env/-", "A=config");
    case.detached();
    assert_eq!(case.exec_with(&["--env", "A=exec"], &["sh", "-c", "env | grep ^A="]).ok(), "A=exec");
}

#[test]
fn the_working_directory_is_the_configurations() {
    let mut case = Case::idle();
    case.set("/process/cwd", "/tmp");
    case.detached();
    assert_eq!(case.exec(&["pwd"]).ok(), "/tmp");
}

#[test]
fn the_working_directory_can_be_given() {
    let case = running();
    assert_eq!(case.exec_with(&["--cwd", "/home"], &["pwd"]).ok(), "/home");
}

#[test]
fn a_relative_working_directory_is_refused() {
    let case = running();
    case.exec_with(&["--cwd", "home"], &["pwd"]).failed();
}

#[test]
fn the_user_can_be_given() {
    let case = running();
    assert_eq!(case.exec_with(&["--user", "1000"], &["id", "-u"]).ok(), "1000");
    assert_eq!(case.exec_with(&["-u", "1000:1001"], &["sh", "-c", "id -u; id -g"]).ok(), "1000\n1001");
}

#[test]
fn a_user_that_is_no_number_is_refused() {
    let case = running();
    case.exec_with(&["--user", "ann"], &["true"]).code(255);
    case.exec_with(&["--user", "1000:staff"], &["true"]).code(255);
}

#[test]
fn additional_groups_can_be_given() {
    let case = running();
    let said = case.exec_with(&["--user", "1000:1000", "-g", "100", "-g", "2000"], &["id", "-G"]).ok();
    assert_eq!(said, "1000 100 2000");
}

#[test]
fn the_user_is_the_configurations() {
    let mut case = Case::idle();
    case.set("/process/user", serde_json::json!({ "uid": 1000, "gid": 1001, "additionalGids": [50] }));
    case.detached();
    assert_eq!(case.exec_sh("id -u; id -G").ok(), "1000\n1001 50");
}

#[test]
fn the_mask_of_files_is_the_configurations() {
    let mut case = Case::idle();
    case.set("/process/user/umask", 0o77);
    case.detached();
    assert_eq!(case.exec_sh("umask").ok(), "0077");
}

#[test]
fn capabilities_are_the_configurations() {
    let case = running();
    let of = |file: &str| {
        let lines = file.lines().filter(|line| line.starts_with("Cap"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of(&case.exec(&["cat", "/proc/self/status"]).ok()), of(&case.proc("status")));
}

#[test]
fn a_capability_can_be_added() {
    let case = running();
    let said = case
        .exec_with(&["--cap", "CAP_SYS_PTRACE", "--cap", "CAP_CHOWN"], &["cat", "/proc/self/status"])
        .ok();
    for set in ["CapBnd", "CapEff", "CapPrm"] {
        let line = said.lines().find(|line| line.starts_with(set)).unwrap();
        let mask = u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap();
        assert_eq!(mask & (1 << 19 | 1), 1 << 19 | 1, "{line}");
    }
}

#[test]
fn an_added_capability_is_not_inheritable() {
    let case = running();
    let said = case
        .exec_with(&["--cap", "CAP_SYS_PTRACE"], &["grep", "-E", "CapInh|CapAmb", "/proc/self/status"])
        .ok();
    assert!(said.lines().all(|line| line.ends_with("0000000000000000")), "{said}");
}

#[test]
fn no_new_privileges_is_the_configurations_and_can_be_set() {
    for (config, flag, expected) in [(true, false, "1"), (false, false, "0"), (false, true, "1")] {
        let mut case = Case::idle();
        case.set("/process/noNewPrivileges", config);
        case.detached();
        let options: &[&str] = if flag { &["--no-new-privs"] } else { &[] };
        let said = case.exec_with(options, &["grep", "NoNewPrivs", "/proc/self/status"]).ok();
        assert!(said.ends_with(expected), "{config} {flag}: {said}");
    }
}

#[test]
fn limits_are_the_configurations() {
    let mut case = Case::idle();
    case.set("/process/rlimits/0", serde_json::json!({ "type": "RLIMIT_NOFILE", "hard": 777, "soft": 666 }));
    case.detached();
    assert_eq!(case.exec_sh("ulimit -Hn; ulimit -Sn").ok(), "777\n666");
}

#[test]
fn a_missing_command_is_255() {
    let case = running();
    case.exec(&["nosuchcommand"]).code(255).complains("nosuchcommand");
}

#[test]
fn a_missing_container_is_255() {
    Case::new().exec(&["true"]).code(255);
}

#[test]
fn no_command_is_refused() {
    let case = running();
    case.exec(&[]).failed();
}

#[test]
fn it_can_be_detached() {
    let case = running();
    for flag in ["-d", "--detach"] {
        case.exec_with(&[flag], &["sh", "-c", "sleep 0.05; echo late >> /late"]).code(0);
    }
    within(10, "both write", || (case.appears("late") == "late\nlate\n").then_some(()));
}

#[test]
fn a_detached_one_outlives_the_call() {
    let case = running();
    case.exec_with(&["--detach", "--pid-file", &case.path("pid")], &["sleep", "995"]).code(0);
    let pid = std::fs::read_to_string(case.base().join("pid")).unwrap();
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    case.kill("KILL").code(0);
    within(10, "it ends with the pid namespace", || {
        (!std::path::Path::new(&format!("/proc/{pid}")).exists() || zombie(&pid)).then_some(())
    });
}

fn zombie(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn it_works_in_a_created_container() {
    let case = Case::idle();
    case.create().code(0);
    assert_eq!(case.exec(&["echo", "early"]).ok(), "early");
    case.start().code(0);
    assert_eq!(case.status(), "running");
}

#[test]
fn the_program_is_looked_up_in_the_new_path() {
    use std::os::unix::fs::PermissionsExt as _;
    let case = running();
    std::fs::create_dir(case.rootfs("mine")).unwrap();
    std::fs::write(case.rootfs("mine/tool"), "#!/bin/sh\necho mine\n").unwrap();
    std::fs::set_permissions(case.rootfs("mine/tool"), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(case.exec_with(&["--env", "PATH=/mine:/bin"], &["tool"]).ok(), "mine");
}

#[test]
fn a_paused_container_refuses_at_once() {
    let case = running();
    case.call(&["pause", case.id()]).code(0);
    case.exec(&["true"]).code(255);
    assert_eq!(case.status(), "paused");
}

#[test]
fn it_waits_for_a_paused_container_when_told_to() {
    let case = running();
    case.call(&["pause", case.id()]).code(0);
    let mut command =
        case.command(&["exec", "--ignore-paused", case.id(), "sh", "-c", "echo resumed > /resumed"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = case.spawn(command);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(child.try_wait().unwrap().is_none() && !case.rootfs("resumed").exists());
    case.call(&["resume", case.id()]).code(0);
    assert_eq!(case.reap(&mut child), 0);
    assert_eq!(case.appears("resumed"), "resumed\n");
}

#[test]
fn it_is_no_child_of_the_first_process_and_leads_its_own_group() {
    let case = running();
    let said = case.exec(&["sh", "-c", "cut -d' ' -f4-6 /proc/$$/stat; echo $$"]).ok();
    let numbers: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(numbers[0], "0", "the parent is outside: {said}");
    assert_eq!((numbers[1], numbers[2]), (numbers[3], numbers[3]), "group and session are its own: {said}");
}

#[test]
fn it_works_with_processes_hidden_from_each_other() {
    let mut case = Case::idle();
    case.set("/mounts/0/options", serde_json::json!(["nosuid", "noexec", "nodev", "hidepid=2"]));
    case.set("/process/user", serde_json::json!({ "uid": 1000, "gid": 1000 }));
    case.detached();
    assert_eq!(case.exec(&["id", "-u"]).ok(), "1000");
}

#[test]
fn it_works_without_proc_in_the_container() {
    let mut case = Case::idle();
    let mounts = case.config["mounts"].as_array().unwrap().clone();
    case.set(
        "/mounts",
        mounts.into_iter().filter(|mount| mount["destination"] != "/proc").collect::<Vec<_>>(),
    );
    case.unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
    case.detached();
    assert_eq!(case.exec(&["echo", "works"]).ok(), "works");
}

#[test]
fn it_works_in_a_user_namespace() {
    let mut case = Case::idle();
    case.user_namespace();
    case.detached();
    assert_eq!(
        case.exec_sh("id -u; cat /proc/self/uid_map | tr -s ' '").ok().replace(' ', ","),
        "0\n,0,100000,65536"
    );
}

#[test]
fn it_works_with_a_cgroup_namespace() {
    let mut case = Case::idle();
    case.namespace("cgroup", None);
    case.detached();
    let said = case.exec_sh("readlink /proc/self/ns/cgroup; readlink /proc/1/ns/cgroup; cut -d: -f3 /proc/self/cgroup | sort -u").ok();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], lines[1]);
    assert_eq!(lines[2..], ["/"], "{said}");
}

#[test]
fn it_works_with_a_time_namespace() {
    let mut case = Case::idle();
    case.namespace("time", None);
    case.detached();
    let said = case.exec_sh("readlink /proc/self/ns/time; readlink /proc/1/ns/time").ok();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], lines[1]);
}

#[test]
fn it_works_on_a_read_only_root() {
    let mut case = Case::idle();
    case.set("/root/readonly", true);
    case.detached();
    assert_eq!(case.exec(&["echo", "works"]).ok(), "works");
}

#[test]
fn many_at_once_all_work() {
    let case = running();
    let mut children: Vec<_> = (0..8)
        .map(|number| {
            let mut command = case.command(&["exec", case.id(), "sh", "-c", &format!("exit {number}")]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            case.spawn(command)
        })
        .collect();
    let codes: Vec<i32> = children.iter_mut().map(|child| case.reap(child)).collect();
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_background_process_of_it_does_not_keep_the_call() {
    let case = running();
    let mut command =
        case.command(&["exec", case.id(), "sh", "-c", "sleep 994 < /dev/null > /dev/null 2>&1 & exit 3"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = case.spawn(command);
    assert_eq!(case.reap(&mut child), 3);
}

#[test]
fn the_containers_affinity_for_exec_is_set() {
    let mut case = Case::idle();
    case.set("/process/execCPUAffinity", serde_json::json!({ "initial": "0", "final": "1" }));
    case.detached();
    let said = case.exec(&["grep", "Cpus_allowed_list", "/proc/self/status"]).ok();
    assert!(said.ends_with("\t1"), "{said}");
}

#[test]
fn the_configuration_in_the_bundle_is_not_needed() {
    let case = running();
    std::fs::remove_file(case.bundle().join("config.json")).unwrap();
    case.exec(&["true"]).code(0);
}

#[test]
fn additional_groups_have_a_long_option() {
    let case = running();
    assert_eq!(
        case.exec_with(&["--user", "1000:1000", "--additional-gids", "100"], &["id", "-G"]).ok(),
        "1000 100"
    );
}
