//! `exec --process FILE`.

use super::{process, running, script};
use crate::support::Case;

#[test]
fn a_process_file_says_everything() {
    let case = running();
    let said = process(
        &case,
        &serde_json::json!({
            "user": { "uid": 1000, "gid": 1001, "additionalGids": [7], "umask": 0o27 },
            "args": ["sh", "-c", "id -u; id -G; umask; pwd; echo $X"],
            "env": ["PATH=/bin", "X=y"], "cwd": "/tmp"
        }),
    );
    assert_eq!(said.ok(), "1000\n1001 7\n0027\n/tmp\ny");
}

#[test]
fn a_process_file_does_not_inherit_the_environment() {
    let mut case = Case::idle();
    case.set("/process/env/-", "FROM=config");
    case.detached();
    assert_eq!(process(&case, &script("echo [$FROM]")).ok(), "[]");
}

#[test]
fn a_process_file_may_be_short() {
    let case = running();
    std::fs::write(case.base().join("process.json"), script("echo short").to_string()).unwrap();
    assert_eq!(case.exec_with(&["-p", &case.path("process.json")], &[]).ok(), "short");
}

#[test]
fn capabilities_of_a_process_file_are_its_own() {
    let case = running();
    let mut file = script("grep CapEff /proc/self/status");
    file["capabilities"] = serde_json::json!({ "bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"] });
    assert!(process(&case, &file).ok().ends_with("0000000000000001"));
}

#[test]
fn limits_of_a_process_file_are_its_own() {
    let case = running();
    let mut file = script("ulimit -n");
    file["rlimits"] = serde_json::json!([{ "type": "RLIMIT_NOFILE", "hard": 333, "soft": 333 }]);
    assert_eq!(process(&case, &file).ok(), "333");
}

#[test]
fn a_process_file_without_a_working_directory_is_refused() {
    let case = running();
    let mut file = script("true");
    file.as_object_mut().unwrap().remove("cwd");
    process(&case, &file).code(255);
}

#[test]
fn a_process_file_without_words_is_refused() {
    let case = running();
    let mut file = script("true");
    file["args"] = serde_json::json!([]);
    process(&case, &file).code(255);
}

#[test]
fn a_process_file_that_is_not_there_or_no_json_is_refused() {
    let case = running();
    case.exec_with(&["--process", "/no/such/file"], &[]).code(255);
    std::fs::write(case.base().join("process.json"), "{").unwrap();
    case.exec_with(&["--process", &case.path("process.json")], &[]).code(255);
}

#[test]
fn an_affinity_of_its_own_is_set() {
    let case = running();
    let mut file = script("grep Cpus_allowed_list /proc/self/status");
    file["execCPUAffinity"] = serde_json::json!({ "initial": "0", "final": "0" });
    let said = process(&case, &file).ok();
    assert!(said.ends_with("\t0"), "{said}");
}

#[test]
fn a_bad_affinity_is_refused() {
    let case = running();
    let mut file = script("true");
    file["execCPUAffinity"] = serde_json::json!({ "initial": "nonsense" });
    process(&case, &file).code(255);
}

#[test]
fn apparmor_and_labels_may_be_empty() {
    let case = running();
    let mut file = script("echo works");
    file["apparmorProfile"] = "".into();
    file["selinuxLabel"] = "".into();
    assert_eq!(process(&case, &file).ok(), "works");
}
