//! Attacks on a runtime, as they were published: each is tried, and must come to nothing.

mod hostile_root;
mod races;

use crate::support::{Case, json, runtime};
use std::process::Command;

/// Words of a secret of the host.
const SECRET: &str = "a secret of the host";

/// A folder outside the container with a file `marker` in it.
fn outside(case: &Case) -> std::path::PathBuf {
    let folder = case.base().join("outside");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("marker"), SECRET).unwrap();
    folder
}

/// The script that tries to come from the working directory to the marker outside.
fn climbing(case: &Case) -> String {
    let base = case.base().to_str().unwrap().trim_start_matches('/').to_owned();
    format!(
        "for up in . .. ../.. ../../.. ../../../.. ../../../../.. ../../../../../../..; do cat $up/{base}/outside/marker $up/outside/marker 2> /dev/null; done; echo tried"
    )
}

#[test]
fn a_working_directory_through_a_descriptor_does_not_lead_out() {
    for number in 0..16 {
        let mut case = Case::new();
        outside(&case);
        let script = climbing(&case);
        case.set("/process/args", ["sh", "-c", &script])
            .set("/process/cwd", format!("/proc/self/fd/{number}"));
        let said = case.run();
        assert!(!said.out.contains(SECRET), "descriptor {number}: {said}");
    }
}

#[test]
fn a_working_directory_of_exec_through_a_descriptor_does_not_lead_out() {
    let case = Case::idle();
    outside(&case);
    case.detached();
    let script = climbing(&case);
    for number in 0..16 {
        let said = case.exec_with(&["--cwd", &format!("/proc/self/fd/{number}")], &["sh", "-c", &script]);
        assert!(!said.out.contains(SECRET), "descriptor {number}: {said}");
    }
}

#[test]
fn a_working_directory_that_is_a_link_to_a_descriptor_does_not_lead_out() {
    let case = Case::idle();
    outside(&case);
    for number in 3..12 {
        std::os::unix::fs::symlink(format!("/proc/self/fd/{number}"), case.rootfs(&format!("link{number}")))
            .unwrap();
    }
    case.detached();
    let script = climbing(&case);
    for number in 3..12 {
        let said = case.exec_with(&["--cwd", &format!("/link{number}")], &["sh", "-c", &script]);
        assert!(!said.out.contains(SECRET), "descriptor {number}: {said}");
    }
}

/// A copy of the runtime, which an attack may destroy, and a command line of it.
fn copied(case: &Case) -> (std::path::PathBuf, impl Fn(&[&str]) -> Command + use<>) {
    let copy = case.base().join("runtime");
    // By another process: a descriptor that is open for writing would make it busy in the children of other cases.
    let made = Command::new("cp").arg(runtime().program()).arg(&copy).status().unwrap();
    assert!(made.success());
    let own = runtime().command();
    let rest: Vec<String> = own.get_args().map(|word| word.to_str().unwrap().to_owned()).collect();
    let state = case.state_folder();
    let program = copy.clone();
    (copy, move |words: &[&str]| {
        let mut command = Command::new(&program);
        command.args(&rest).arg("--root").arg(&state).args(words).stdin(std::process::Stdio::null());
        command
    })
}

/// What of a program must stay as it is: its size and when it was written.
fn stamp(path: &std::path::Path) -> (u64, std::time::SystemTime) {
    let about = std::fs::metadata(path).unwrap();
    (about.len(), about.modified().unwrap())
}

#[test]
fn the_runtimes_program_cannot_be_overwritten_from_inside() {
    // CVE-2019-5736: whoever joins the container is a process in it, whose /proc/PID/exe leads to its program.
    let script =
        "while [ ! -e /stop ]; do for exe in /proc/[0-9]*/exe; do ( : > $exe ) 2> /dev/null; done; done";
    let mut case = Case::sh(script);
    case.set("/process/capabilities", json!({ "bounding": ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"], "effective": ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"], "permitted": ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"] }));
    let (program, call) = copied(&case);
    let before = stamp(&program);
    case.write();
    case.end(call(&["run", "--detach", "--bundle", &case.path("bundle"), case.id()])).code(0);
    for _ in 0..15 {
        let _ = case.end(call(&["exec", case.id(), "true"]));
    }
    std::fs::write(case.rootfs("stop"), "").unwrap();
    case.end(call(&["delete", "--force", case.id()])).code(0);
    assert_eq!(stamp(&program), before);
}

#[test]
fn the_runtimes_program_run_as_the_containers_cannot_be_overwritten() {
    // The same, with the program itself as what is executed.
    let mut case = Case::idle();
    std::os::unix::fs::symlink("/proc/self/exe", case.rootfs("bin/self")).unwrap();
    let (program, call) = copied(&case);
    let before = stamp(&program);
    case.set(
        "/process/args",
        [
            "sh",
            "-c",
            "while :; do for exe in /proc/[0-9]*/exe; do ( echo x >> $exe ) 2> /dev/null; done; done",
        ],
    )
    .write();
    case.end(call(&["run", "--detach", "--bundle", &case.path("bundle"), case.id()])).code(0);
    for _ in 0..5 {
        let _ = case.end(call(&["exec", case.id(), "/bin/self", "--version"]));
        let _ = case.end(call(&["exec", case.id(), "/proc/self/exe", "--version"]));
    }
    case.end(call(&["delete", "--force", case.id()])).code(0);
    assert_eq!(stamp(&program), before);
}

#[test]
fn a_process_that_joins_shows_no_descriptor_of_the_host() {
    let case = Case::sh(
        "while [ ! -e /stop ]; do ls -l /proc/[0-9]*/fd /proc/[0-9]*/cwd /proc/[0-9]*/root 2> /dev/null | grep -F -e /state/ -e config.json -e /outside >> /leaked; done",
    );
    outside(&case);
    case.detached();
    for _ in 0..15 {
        case.exec(&["true"]).code(0);
    }
    std::fs::write(case.rootfs("stop"), "").unwrap();
    let leaked = std::fs::read_to_string(case.rootfs("leaked")).unwrap_or_default();
    assert_eq!(leaked, "");
}

#[test]
fn a_process_that_joins_cannot_be_traced_from_inside() {
    // Its memory and descriptors are open to processes with CAP_SYS_PTRACE of its own namespaces once it is dumpable.
    let mut case = Case::sh(
        "while [ ! -e /stop ]; do for pid in $(ls /proc | grep '^[0-9]'); do [ $pid = 1 ] || head -c 16 /proc/$pid/environ 2> /dev/null >> /seen; done; done",
    );
    case.user_namespace();
    case.detached();
    for _ in 0..10 {
        let mut command = case.command(&["exec", case.id(), "true"]);
        command.env("SECRET_OF_THE_HOST", SECRET);
        case.end(command).code(0);
    }
    std::fs::write(case.rootfs("stop"), "").unwrap();
    let seen = String::from_utf8_lossy(&std::fs::read(case.rootfs("seen")).unwrap_or_default()).into_owned();
    assert!(!seen.contains("SECRET_OF_THE_HOST"), "{seen}");
}

#[test]
fn nothing_of_the_callers_environment_comes_in() {
    let case = Case::sh("tr '\\0' '\\n' < /proc/1/environ; env");
    let mut command = case.bundled("run", &[]);
    command.env("SECRET_OF_THE_HOST", SECRET);
    let said = case.end(command);
    assert!(!said.out.contains(SECRET), "{said}");
}

#[test]
fn kernel_files_that_rule_the_host_cannot_be_written() {
    let files = "/proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/kernel/modprobe /proc/sys/vm/panic_on_oom /sys/kernel/uevent_helper /proc/irq/default_smp_affinity";
    let said = Case::sh(&format!("for file in {files}; do if [ -e $file ]; then ( echo x > $file ) 2> /dev/null && echo wrote $file; done; true")
        .replace("wrote $file; done", "wrote $file; fi; done")).run().code(0);
    assert!(!said.out.contains("wrote"), "{said}");
}

#[test]
fn the_memory_of_the_host_cannot_be_read() {
    let said = Case::sh(
        "for file in /proc/kcore /dev/mem /dev/kmem /dev/port; do head -c 4 $file 2> /dev/null | wc -c; done",
    )
    .run()
    .code(0);
    assert!(said.out.split_whitespace().all(|count| count == "0"), "{said}");
}

#[test]
fn a_release_agent_cannot_be_set() {
    let script = "for file in /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent; do [ -e $file ] && ( echo /evil > $file ) 2> /dev/null && echo wrote; done; \
                  mkdir -p /mnt/c; mount -t cgroup -o rdma cgroup /mnt/c 2> /dev/null && echo mounted; mount -t cgroup -o memory cgroup /mnt/c 2> /dev/null && echo mounted; true";
    let said = Case::sh(script).run().code(0);
    assert_eq!(said.out, "", "{said}");
}

#[test]
fn a_release_agent_cannot_be_set_from_a_user_namespace_with_all_capabilities() {
    let mut case = Case::sh(
        "for file in /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent; do [ -e $file ] && ( echo /evil > $file ) 2> /dev/null && echo wrote; done; \
                             mount -o remount,rw /sys/fs/cgroup 2> /dev/null; for file in /sys/fs/cgroup/*/release_agent; do [ -e $file ] && ( echo /evil > $file ) 2> /dev/null && echo wrote; done; true",
    );
    let all = json!(["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_FOWNER"]);
    case.user_namespace()
        .set("/process/capabilities", json!({ "bounding": all, "effective": all, "permitted": all }));
    assert_eq!(case.run().code(0).out, "");
}

#[test]
fn a_device_that_is_not_allowed_cannot_be_opened_though_it_can_be_made() {
    let all = json!(["CAP_MKNOD", "CAP_DAC_OVERRIDE"]);
    let mut case = Case::sh(
        "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem > /dev/null 2>&1 && echo read; mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk > /dev/null 2>&1 && echo read; echo tried",
    );
    case.set("/process/capabilities", json!({ "bounding": all, "effective": all, "permitted": all }));
    assert_eq!(case.run().code(0).out, "tried\n");
}

#[test]
fn no_device_can_be_made_without_the_capability() {
    let said = Case::sh("mknod /tmp/mem c 1 1 2> /dev/null && echo made; echo tried").run().code(0);
    assert_eq!(said.out, "tried\n");
}

#[test]
fn masked_files_cannot_be_unmasked() {
    let script = "umount /proc/kcore 2> /dev/null && echo unmounted; umount /sys/firmware 2> /dev/null && echo unmounted; mount -t proc proc /mnt 2> /dev/null && echo mounted; echo tried";
    assert_eq!(Case::sh(script).run().code(0).out, "tried\n");
    let mut case =
        Case::sh(script.replace("mount -t proc proc /mnt 2> /dev/null && echo mounted; ", "").as_str());
    let all = json!(["CAP_SYS_ADMIN"]);
    case.user_namespace()
        .set("/process/capabilities", json!({ "bounding": all, "effective": all, "permitted": all }));
    let said = case.run().code(0);
    // Root of its own user namespace owns its mount namespace and may take its own mounts away only where they are not locked.
    assert!(said.out.ends_with("tried\n"), "{said}");
}

#[test]
fn the_hosts_processes_cannot_be_seen_or_signalled() {
    let host = std::process::id();
    let said = Case::sh(&format!("[ -e /proc/{host}/cmdline ] && tr '\\0' ' ' < /proc/{host}/cmdline; kill -0 {host} 2> /dev/null && [ {host} -gt 50 ] && echo signalled; ls /proc | grep -c '^[0-9]'")).run();
    let count: u32 = said.out.lines().last().unwrap().trim().parse().unwrap();
    assert!(count <= 4 && !said.out.contains("signalled"), "{said}");
}

#[test]
fn a_killed_containers_pid_is_not_signalled_when_another_process_has_it() {
    let case = Case::idle();
    case.write();
    // In a pid namespace of its own the next pid can be chosen.
    let script = r#"
        "$@" run --detach --bundle "$BUNDLE" "$ID" < /dev/null > /dev/null 2>&1 || exit 70
        pid=$("$@" state "$ID" | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')
        kill -KILL "$pid"
        while [ -e "/proc/$pid" ]; do sleep 0.05; done
        echo $((pid - 1)) > /proc/sys/kernel/ns_last_pid
        sleep 1000 & other=$!
        [ "$other" = "$pid" ] || exit 77
        "$@" state "$ID" | grep -q '"status": *"stopped"' || echo "not stopped"
        "$@" kill "$ID" KILL > /dev/null 2>&1
        "$@" kill --all "$ID" KILL > /dev/null 2>&1
        "$@" delete --force "$ID" > /dev/null 2>&1
        kill -0 "$other" && echo survived
        kill -KILL "$other"
    "#;
    let inner = case.command(&[]);
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh"])
        .arg(inner.get_program())
        .args(inner.get_args());
    command.env("BUNDLE", case.bundle()).env("ID", case.id()).stdin(std::process::Stdio::null());
    let said = case.end(command);
    if said.code == 77 {
        crate::support::skip!("another process took the pid between");
    }
    assert_eq!(said.out, "survived\n", "{said}");
}
