//! Users, groups and the mask of new files.

use crate::support::{Case, Value, json};

#[track_caller]
fn as_user(user: Value, script: &str) -> String {
    let mut case = Case::sh(script);
    case.set("/process/user", user);
    case.run().ok()
}

#[test]
fn ids_are_the_configurations() {
    assert_eq!(as_user(json!({ "uid": 1000, "gid": 1001 }), "id -u; id -g"), "1000\n1001");
}

#[test]
fn all_four_ids_are_set() {
    let said = as_user(json!({ "uid": 1000, "gid": 1001 }), "grep -E '^(Uid|Gid)' /proc/self/status");
    assert_eq!(said, "Uid:\t1000\t1000\t1000\t1000\nGid:\t1001\t1001\t1001\t1001");
}

#[test]
fn ids_that_no_file_knows_are_fine() {
    assert_eq!(as_user(json!({ "uid": 54_321, "gid": 65_000 }), "id -u; id -g"), "54321\n65000");
}

#[test]
fn the_largest_ids_are_fine() {
    let user = json!({ "uid": 4_294_967_294u32, "gid": 4_294_967_294u32 });
    assert_eq!(as_user(user, "id -u"), "4294967294");
}

#[test]
fn a_negative_id_is_refused() {
    let mut case = Case::new();
    case.set("/process/user", json!({ "uid": -1, "gid": 0 }));
    case.run().failed();
    case.nothing_left();
}

#[test]
fn additional_groups_are_set() {
    let user = json!({ "uid": 1000, "gid": 1000, "additionalGids": [50, 2000] });
    assert_eq!(as_user(user, "grep ^Groups /proc/self/status | tr -s '\\t '  ' '").trim(), "Groups: 50 2000");
}

#[test]
fn groups_of_the_caller_are_dropped() {
    let mut case = Case::sh("grep ^Groups /proc/self/status | tr -s '\\t ' ' '");
    case.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let inner = case.bundled("run", &[]);
    let mut command = std::process::Command::new("setpriv");
    command.args(["--groups", "7,8,9"]).arg(inner.get_program()).args(inner.get_args());
    command.stdin(std::process::Stdio::null());
    assert_eq!(case.end(command).ok().trim(), "Groups:");
}

#[test]
fn groups_of_the_roots_files_are_not_added() {
    assert_eq!(as_user(json!({ "uid": 1000, "gid": 1000 }), "id -G"), "1000");
}

#[test]
fn a_user_may_read_only_what_is_its_own() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut case = Case::sh("cat /secret || echo denied");
    std::fs::write(case.rootfs("secret"), "secret").unwrap();
    std::fs::set_permissions(case.rootfs("secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
    case.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    assert_eq!(case.run().ok(), "denied");
}

#[test]
fn the_mask_is_set() {
    for (mask, shown) in [(0o22, "0022"), (0, "0000"), (0o177, "0177"), (0o777, "0777")] {
        assert_eq!(as_user(json!({ "uid": 0, "gid": 0, "umask": mask }), "umask"), shown);
    }
}

#[test]
fn the_mask_is_022_unless_given() {
    assert_eq!(as_user(json!({ "uid": 0, "gid": 0 }), "umask"), "0022");
}

#[test]
fn the_mask_of_the_caller_does_not_matter_to_what_the_runtime_makes() {
    let case = Case::sh("stat -c %a /dev/null /dev/shm /dev/pts");
    let inner = case.bundled("run", &[]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    command.stdin(std::process::Stdio::null());
    assert_eq!(case.end(command).ok(), "666\n1777\n755");
}

#[test]
fn a_user_in_a_user_namespace_is_the_mapped_one() {
    let mut case = Case::idle();
    case.user_namespace();
    case.set("/process/user", json!({ "uid": 1000, "gid": 1001, "additionalGids": [5] }));
    case.detached();
    let status = case.proc("status");
    assert!(status.contains("Uid:\t101000\t101000") && status.contains("Gid:\t101001\t101001"), "{status}");
    assert!(status.contains("Groups:\t100005"), "{status}");
}

#[test]
fn a_user_outside_the_map_is_refused() {
    let mut case = Case::new();
    case.user_namespace();
    case.set("/process/user/uid", 70_000);
    case.run().failed();
    case.nothing_left();
}
