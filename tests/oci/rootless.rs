//! An ordinary user's containers.

use crate::support::{Case, Said, json};
use std::os::unix::fs::chown;
use std::process::{Command, Stdio};

const USER: u32 = 1000;

/// A case whose files are an ordinary user's, with a configuration as `spec --rootless` writes it.
fn rootless(script: &str) -> Case {
    let mut case = Case::sh(script);
    let own = json!([{ "containerID": 0, "hostID": USER, "size": 1 }]);
    case.namespace("user", None).without_namespace("network");
    case.set("/linux/uidMappings", own.clone())
        .set("/linux/gidMappings", own)
        .unset("/linux/resources")
        .unset("/linux/cgroupsPath");
    case.unset("/process/rlimits");
    // Without a network namespace of its own sysfs can only be bound; a terminal's group has no place in a map of one id.
    let mounts = case.config["mounts"].as_array().unwrap().clone();
    let kept = mounts
        .into_iter()
        .filter(|mount| !mount["destination"].as_str().unwrap().starts_with("/sys"))
        .collect::<Vec<_>>();
    case.set("/mounts", kept);
    case.set("/mounts/2/options", json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]));
    case.mount("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"]);
    case.unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
    case.write();
    for path in [case.base().to_owned(), case.bundle()] {
        give(&path);
    }
    case
}

/// Gives a path and everything below it to the user.
fn give(path: &std::path::Path) {
    chown(path, Some(USER), Some(USER)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in std::fs::read_dir(path).unwrap().flatten() {
            std::os::unix::fs::lchown(entry.path(), Some(USER), Some(USER)).unwrap();
            if entry.file_type().unwrap().is_dir() {
                give(&entry.path());
            }
        }
    }
}

/// A command as the user.
fn as_user(inner: &Command) -> Command {
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid",
        "1000",
        "--regid",
        "1000",
        "--clear-groups",
        "--inh-caps",
        "-all",
        "--bounding-set",
        "-all",
    ]);
    command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
    command
}

#[track_caller]
fn call(case: &Case, words: &[&str]) -> Said {
    case.end(as_user(&case.command(words)))
}

#[track_caller]
fn run(case: &Case) -> Said {
    call(case, &["run", "--bundle", &case.path("bundle"), case.id()])
}

#[test]
fn a_user_runs_a_container() {
    let said = run(&rootless("id -u; echo works"));
    assert_eq!(said.ok(), "0\nworks");
}

#[test]
fn the_exit_code_is_the_programs() {
    run(&rootless("exit 9")).code(9);
}

#[test]
fn the_maps_are_the_configurations() {
    let said = run(&rootless("cat /proc/self/uid_map /proc/self/setgroups")).ok();
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["0", "1000", "1", "deny"]);
}

#[test]
fn files_that_are_made_are_the_users() {
    use std::os::unix::fs::MetadataExt as _;
    let case = rootless("touch /made");
    run(&case).code(0);
    assert_eq!(std::fs::metadata(case.rootfs("made")).unwrap().uid(), USER);
}

#[test]
fn create_start_exec_kill_and_delete_work() {
    let mut case = rootless("true");
    case.set("/process/args", ["sleep", "1000"]).write();
    call(&case, &["create", "--bundle", &case.path("bundle"), case.id()]).code(0);
    call(&case, &["start", case.id()]).code(0);
    assert_eq!(call(&case, &["exec", case.id(), "id", "-u"]).ok(), "0");
    assert!(call(&case, &["state", case.id()]).ok().contains("running"));
    assert!(call(&case, &["list", "-q"]).ok().contains(case.id()));
    call(&case, &["kill", case.id(), "KILL"]).code(0);
    call(&case, &["delete", "--force", case.id()]).code(0);
    case.nothing_left();
}

#[test]
fn the_configuration_of_spec_works() {
    let case = rootless("true");
    std::fs::remove_file(case.bundle().join("config.json")).unwrap();
    call(&case, &["spec", "--rootless", "--bundle", &case.path("bundle")]).code(0);
    let text = std::fs::read_to_string(case.bundle().join("config.json")).unwrap();
    let mut spec: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(spec["linux"]["uidMappings"], json!([{ "containerID": 0, "hostID": USER, "size": 1 }]));
    spec["process"]["terminal"] = false.into();
    spec["process"]["args"] = json!(["echo", "works"]);
    spec["process"].as_object_mut().unwrap().remove("rlimits");
    std::fs::write(case.bundle().join("config.json"), spec.to_string()).unwrap();
    assert_eq!(run(&case).ok(), "works");
}

#[test]
fn an_id_that_is_not_mapped_is_refused() {
    let mut case = rootless("true");
    case.set("/process/user/uid", 5).write();
    run(&case).failed();
    case.nothing_left();
}

#[test]
fn additional_groups_are_refused_where_they_cannot_be_set() {
    let mut case = rootless("true");
    case.set("/process/user/additionalGids", json!([0])).write();
    run(&case).failed();
    case.nothing_left();
}

#[test]
fn a_container_without_a_user_namespace_is_refused() {
    let mut case = rootless("true");
    case.without_namespace("user").unset("/linux/uidMappings").unset("/linux/gidMappings").write();
    run(&case).failed();
    case.nothing_left();
}

#[test]
fn foreign_ids_cannot_be_mapped() {
    let mut case = rootless("true");
    case.set("/linux/uidMappings/0/hostID", 0).write();
    run(&case).failed();
    case.nothing_left();
}

#[test]
fn a_terminal_works() {
    use crate::support::ConsoleSocket;
    let mut case = rootless("tty; read line; echo got $line");
    case.set("/process/terminal", true).write();
    let socket = ConsoleSocket::bind(&case.base().join("console"));
    chown(case.base().join("console"), Some(USER), Some(USER)).unwrap();
    call(
        &case,
        &["run", "--detach", "--console-socket", socket.word(), "--bundle", &case.path("bundle"), case.id()],
    )
    .code(0);
    let (mut console, _) = socket.master();
    console.send("hello\n");
    assert!(console.rest().contains("got hello"));
}

#[test]
fn the_hosts_process_namespace_with_a_bound_proc() {
    let mut case = rootless("[ -e /proc/self/status ] && echo works");
    case.without_namespace("pid").set("/mounts/0", json!({ "destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind", "nosuid", "noexec", "nodev"] })).write();
    assert_eq!(run(&case).ok(), "works");
}
