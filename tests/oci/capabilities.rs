//! Capabilities and new privileges.

use crate::support::{Case, Value, json};

/// Bits of some capabilities (linux/capability.h).
const CHOWN: u64 = 1;
const KILL: u64 = 1 << 5;
const NET_BIND_SERVICE: u64 = 1 << 10;
const SYS_ADMIN: u64 = 1 << 21;
const AUDIT_WRITE: u64 = 1 << 29;

/// The five sets that a status file shows: inheritable, permitted, effective, bounding, ambient.
fn sets(status: &str) -> [u64; 5] {
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(|name| {
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no {name}: {status}"));
        u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap()
    })
}

/// A case that shows its status with these capabilities.
fn with(capabilities: Value) -> Case {
    let mut case = Case::new();
    case.set("/process/args", ["cat", "/proc/self/status"]).set("/process/capabilities", capabilities);
    case
}

#[track_caller]
fn run(capabilities: Value) -> [u64; 5] {
    sets(&with(capabilities).run().ok())
}

#[test]
fn three_sets_as_given() {
    let three = AUDIT_WRITE | KILL | NET_BIND_SERVICE;
    let case = Case::sh("cat /proc/self/status");
    assert_eq!(sets(&case.run().ok()), [0, three, three, three, 0]);
}

#[test]
fn none_without_the_member() {
    let mut case = with(Value::Null);
    case.unset("/process/capabilities");
    let [inheritable, permitted, effective, _, ambient] = sets(&case.run().ok());
    assert_eq!([inheritable, permitted, effective, ambient], [0; 4]);
}

#[test]
fn none_when_all_are_empty() {
    assert_eq!(run(json!({})), [0; 5]);
    assert_eq!(
        run(json!({ "bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": [] })),
        [0; 5]
    );
}

#[test]
fn the_bounding_set_is_really_dropped() {
    assert_eq!(run(json!({ "bounding": ["CAP_CHOWN"] }))[3], CHOWN);
}

#[test]
fn all_five_sets() {
    let list = json!(["CAP_CHOWN", "CAP_KILL"]);
    let all = json!({ "bounding": list, "effective": list, "permitted": list, "inheritable": list, "ambient": list });
    assert_eq!(run(all), [CHOWN | KILL; 5]);
}

#[test]
fn effective_may_be_fewer_than_permitted_for_a_user() {
    let mut case = with(json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL"], "permitted": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_CHOWN"],
        "inheritable": ["CAP_CHOWN", "CAP_KILL"], "ambient": ["CAP_CHOWN"]
    }));
    case.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    // execve gives a user's process what is ambient and no more (capabilities(7)).
    assert_eq!(sets(&case.run().ok()), [CHOWN | KILL, CHOWN, CHOWN, CHOWN | KILL, CHOWN]);
}

#[test]
fn ambient_ones_survive_the_change_of_user() {
    let list = json!(["CAP_NET_BIND_SERVICE"]);
    let mut case = with(
        json!({ "bounding": list, "effective": list, "permitted": list, "inheritable": list, "ambient": list }),
    );
    case.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    assert_eq!(sets(&case.run().ok()), [NET_BIND_SERVICE; 5]);
}

#[test]
fn a_user_without_ambient_ones_has_none_in_effect() {
    let mut case = Case::sh("cat /proc/self/status");
    case.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let [inheritable, permitted, effective, bounding, ambient] = sets(&case.run().ok());
    assert_eq!([inheritable, permitted, effective, ambient], [0; 4]);
    assert_eq!(bounding, AUDIT_WRITE | KILL | NET_BIND_SERVICE);
}

#[test]
fn an_ambient_one_that_is_not_inheritable_is_a_warning() {
    let list = json!(["CAP_CHOWN"]);
    let said = with(json!({ "bounding": list, "effective": list, "permitted": list, "ambient": list })).run();
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(sets(&said.out)[4], 0);
}

#[test]
fn the_warning_about_an_ambient_one_has_its_words() {
    let list = json!(["CAP_CHOWN"]);
    let said = with(json!({ "bounding": list, "effective": list, "permitted": list, "ambient": list })).run();
    assert!(said.err.contains("can't raise ambient capability CAP_CHOWN: "), "{said}");
}

#[test]
fn an_unknown_one_is_a_warning() {
    let list = json!(["CAP_CHOWN", "CAP_NO_SUCH"]);
    let said = with(json!({ "bounding": list, "effective": list, "permitted": list })).run();
    assert_eq!(said.code, 0, "{said}");
    assert_eq!(sets(&said.out)[2], CHOWN);
}

#[test]
fn the_warning_about_an_unknown_one_names_it() {
    let list = json!(["CAP_NO_SUCH"]);
    let said = with(json!({ "bounding": list })).run();
    assert!(said.err.contains("CAP_NO_SUCH"), "{said}");
}

#[test]
fn nothing_is_inherited_from_the_caller() {
    let case =
        with(json!({ "bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"] }));
    let inner = case.bundled("run", &[]);
    let mut command = std::process::Command::new("setpriv");
    command.args(["--inh-caps", "+sys_admin", "--ambient-caps", "+sys_admin"]);
    command.arg(inner.get_program()).args(inner.get_args()).stdin(std::process::Stdio::null());
    let found = sets(&case.end(command).ok());
    assert_eq!(found, [0, CHOWN, CHOWN, CHOWN, 0]);
    assert_eq!(found[0] & SYS_ADMIN, 0);
}

#[test]
fn the_newest_ones_are_known() {
    let list = json!(["CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE"]);
    let said = with(json!({ "bounding": list })).run();
    assert_eq!(sets(&said.out)[3], 0b111 << 38, "{said}");
    assert_eq!(said.err, "");
}

#[test]
fn capabilities_work_in_a_user_namespace() {
    let mut case = with(
        json!({ "bounding": ["CAP_CHOWN", "CAP_SYS_ADMIN"], "effective": ["CAP_CHOWN", "CAP_SYS_ADMIN"], "permitted": ["CAP_CHOWN", "CAP_SYS_ADMIN"] }),
    );
    case.user_namespace();
    assert_eq!(sets(&case.run().ok())[2], CHOWN | SYS_ADMIN);
}

#[test]
fn a_program_that_only_a_capability_lets_execute_runs() {
    use std::os::unix::fs::PermissionsExt as _;
    let list = json!(["CAP_DAC_OVERRIDE"]);
    let mut case = with(
        json!({ "bounding": list, "effective": list, "permitted": list, "inheritable": list, "ambient": list }),
    );
    std::fs::copy(case.rootfs("bin/busybox"), case.rootfs("bin/private")).unwrap();
    std::fs::set_permissions(case.rootfs("bin/private"), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::create_dir(case.rootfs("locked")).unwrap();
    std::fs::rename(case.rootfs("bin/private"), case.rootfs("locked/echo")).unwrap();
    std::fs::set_permissions(case.rootfs("locked"), std::fs::Permissions::from_mode(0o700)).unwrap();
    case.set("/process/args", ["/locked/echo", "ran"])
        .set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    assert_eq!(case.run().ok(), "ran");
}

#[test]
fn no_new_privileges_is_set_and_unset() {
    for value in [true, false] {
        let mut case = Case::new();
        case.set("/process/args", ["grep", "NoNewPrivs", "/proc/self/status"])
            .set("/process/noNewPrivileges", value);
        assert_eq!(case.run().ok(), format!("NoNewPrivs:\t{}", u8::from(value)));
    }
}

#[test]
fn without_privileges_system_calls_are_denied() {
    let said = Case::sh(
        "mount -t tmpfs none /mnt || echo denied; chroot / true || echo denied; hostname x || echo denied",
    )
    .run();
    assert_eq!(said.out.matches("denied").count(), 3, "{said}");
}

#[test]
fn a_set_user_program_gains_nothing_with_no_new_privileges() {
    use std::os::unix::fs::PermissionsExt as _;
    for value in [true, false] {
        // busybox gives up at once what it gains, but cannot look at itself afterwards: who has gained keeps secrets (proc_pid(5), dumpable).
        let mut case =
            Case::sh("/raised/cat /proc/self/auxv > /dev/null 2>&1 && echo as before || echo gained");
        std::fs::create_dir(case.rootfs("raised")).unwrap();
        std::fs::copy(case.rootfs("bin/busybox"), case.rootfs("raised/cat")).unwrap();
        std::fs::set_permissions(case.rootfs("raised/cat"), std::fs::Permissions::from_mode(0o4755)).unwrap();
        case.set("/process/user", json!({ "uid": 1000, "gid": 1000 })).set("/process/noNewPrivileges", value);
        assert_eq!(case.run().ok(), if value { "as before" } else { "gained" });
    }
}
