//! Root file systems that are made to lead the runtime astray.

use super::{SECRET, outside};
use crate::support::{Case, ConsoleSocket, json};
use std::os::unix::fs::symlink;
use std::path::Path;

/// Removes a folder of the root file system and puts a link in its place.
fn link(case: &Case, path: &str, target: &Path) {
    let place = case.rootfs(path);
    let _ = std::fs::remove_dir_all(&place);
    let _ = std::fs::remove_file(&place);
    symlink(target, place).unwrap();
}

/// Files below a folder.
fn entries(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn proc_that_is_a_link_is_refused() {
    let case = Case::new();
    let folder = outside(&case);
    link(&case, "proc", &folder);
    case.run().failed();
    case.nothing_left();
    assert_eq!(entries(&folder), ["marker"]);
}

#[test]
fn the_words_about_proc_that_is_a_link() {
    let case = Case::new();
    link(&case, "proc", Path::new("/tmp"));
    case.run().failed().complains("must be mounted on ordinary directory");
}

#[test]
fn sys_that_is_a_link_is_refused() {
    let case = Case::new();
    let folder = outside(&case);
    link(&case, "sys", &folder);
    case.run().failed();
    case.nothing_left();
}

#[test]
fn dev_that_is_a_link_does_not_lead_out() {
    let case = Case::new();
    let folder = outside(&case);
    link(&case, "dev", &folder);
    let _ = case.run();
    case.nothing_left();
    assert_eq!(entries(&folder), ["marker"]);
}

#[test]
fn dev_that_climbs_does_not_lead_out() {
    let case = Case::new();
    let folder = outside(&case);
    link(
        &case,
        "dev",
        Path::new("../../../../../../../../../../..").join(folder.strip_prefix("/").unwrap()).as_path(),
    );
    let _ = case.run();
    case.nothing_left();
    assert_eq!(entries(&folder), ["marker"]);
}

#[test]
fn a_mount_below_a_link_stays_inside() {
    let mut case = Case::sh("ls /etc-link/made");
    let folder = outside(&case);
    let source = case.base().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("inside"), "").unwrap();
    symlink(&folder, case.rootfs("etc-link")).unwrap();
    case.mount("/etc-link/made", "bind", source.to_str().unwrap(), &["rbind"]);
    let _ = case.run();
    assert_eq!(entries(&folder), ["marker"]);
}

#[test]
fn a_mount_whose_target_is_a_dangling_link_stays_inside() {
    let mut case = Case::new();
    let folder = outside(&case);
    symlink(folder.join("new"), case.rootfs("dangling")).unwrap();
    symlink(folder.join("new-folder"), case.rootfs("dangling-folder")).unwrap();
    std::fs::write(case.base().join("file"), "").unwrap();
    let file = case.path("file");
    case.mount("/dangling", "bind", &file, &["bind"]).mount("/dangling-folder", "tmpfs", "tmpfs", &[]);
    let _ = case.run();
    assert_eq!(entries(&folder), ["marker"]);
}

#[test]
fn a_missing_working_directory_behind_a_link_is_not_made_outside() {
    let mut case = Case::new();
    let folder = outside(&case);
    symlink(&folder, case.rootfs("work")).unwrap();
    case.set("/process/cwd", "/work/made");
    let _ = case.run();
    assert_eq!(entries(&folder), ["marker"]);
}

/// A configuration without mounts of /dev: what is there comes from the root.
fn without_dev(case: &mut Case) {
    let mounts = case.config["mounts"].as_array().unwrap().clone();
    let kept: Vec<_> = mounts
        .into_iter()
        .filter(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"))
        .collect();
    case.set("/mounts", kept);
}

#[test]
fn a_null_device_that_is_a_link_does_not_mask_with_a_file_of_the_kernel() {
    // CVE-2025-31133: what masks would be the file of the link's end, and writable.
    let mut case = Case::sh(
        "[ -e /proc/keys ] && ( echo evil > /proc/keys ) 2> /dev/null && echo wrote; cat /proc/sys/kernel/core_pattern",
    );
    let before = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    without_dev(&mut case);
    link(&case, "dev/null", Path::new("/proc/sys/kernel/core_pattern"));
    let said = case.run();
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), before, "{said}");
    assert!(!said.out.contains("evil"), "{said}");
}

#[test]
fn a_console_that_is_a_link_is_not_bound_elsewhere() {
    // CVE-2025-52565: the terminal would be bound over a file of the kernel before it is made read-only.
    let mut case =
        Case::sh("echo through > /dev/console; cut -d' ' -f5 /proc/self/mountinfo | grep -c core_pattern");
    without_dev(&mut case);
    case.set("/process/terminal", true);
    link(&case, "dev/console", Path::new("/proc/sys/kernel/core_pattern"));
    let before = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let socket = ConsoleSocket::bind(&case.base().join("console"));
    let said = case.run_with(&["--detach", "--console-socket", socket.word()]);
    if said.code == 0 {
        let shown = socket.master().0.rest();
        assert!(!shown.lines().any(|line| line.trim() == "1"), "{shown}");
    }
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(), before);
}

#[test]
fn a_kernel_parameter_is_not_written_through_a_false_proc() {
    // CVE-2025-52881: /proc of the container leads writes of the runtime to another file.
    let mut case = Case::new();
    let folder = outside(&case);
    let fake = case.base().join("fake");
    std::fs::create_dir_all(fake.join("sys/net/ipv4")).unwrap();
    symlink("/host/marker", fake.join("sys/net/ipv4/ip_forward")).unwrap();
    let mounts = case.config["mounts"].as_array().unwrap().clone();
    case.set(
        "/mounts",
        mounts.into_iter().filter(|mount| mount["destination"] != "/proc").collect::<Vec<_>>(),
    );
    case.mount("/host", "bind", folder.to_str().unwrap(), &["rbind"]);
    let source = fake.to_str().unwrap().to_owned();
    case.mount("/proc", "bind", &source, &["rbind"]);
    case.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
    case.unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
    let _ = case.run();
    assert_eq!(std::fs::read_to_string(folder.join("marker")).unwrap(), SECRET);
}

#[test]
fn files_of_proc_cannot_be_mounted_over() {
    for path in ["/proc/self/attr", "/proc/sys/kernel", "/proc/1/ns", "/proc/self/exe"] {
        let mut case = Case::new();
        let source = case.base().join("source");
        std::fs::create_dir(&source).unwrap();
        case.mount(path, "bind", source.to_str().unwrap(), &["rbind"]);
        case.run().failed();
        case.nothing_left();
    }
}

#[test]
fn a_file_of_users_that_is_a_fifo_does_not_hold_the_start() {
    let case = Case::sh("echo started");
    std::fs::remove_file(case.rootfs("etc/passwd")).unwrap();
    std::process::Command::new("mkfifo").arg(case.rootfs("etc/passwd")).status().unwrap();
    let mut child = case.spawn({
        let mut command = case.bundled("run", &[]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command
    });
    case.reap(&mut child);
}

#[test]
fn a_file_of_users_that_leads_out_is_not_followed() {
    let case = Case::sh("echo $HOME");
    let folder = outside(&case);
    std::fs::write(folder.join("passwd"), "root:x:0:0::/home/of-the-host:/bin/sh\n").unwrap();
    link(&case, "etc/passwd", &folder.join("passwd"));
    assert!(!case.run().out.contains("of-the-host"));
}

#[test]
fn a_file_of_users_that_never_ends_does_no_harm() {
    let case = Case::sh("echo started");
    let file = std::fs::File::create(case.rootfs("etc/passwd")).unwrap();
    file.set_len(1 << 32).unwrap();
    let _ = case.run();
}

#[test]
fn a_program_that_leads_out_is_not_followed() {
    let mut case = Case::new();
    let folder = outside(&case);
    std::fs::copy(case.rootfs("bin/busybox"), folder.join("echo")).unwrap();
    symlink(folder.join("echo"), case.rootfs("bin/outside")).unwrap();
    case.set("/process/args", ["/bin/outside", "from the host"]);
    assert!(!case.run().out.contains("from the host"));
}

#[test]
fn masked_and_read_only_paths_that_are_links_stay_inside() {
    let mut case = Case::sh("ls /masked 2>/dev/null; echo done");
    let folder = outside(&case);
    symlink(&folder, case.rootfs("masked")).unwrap();
    symlink(&folder, case.rootfs("readonly")).unwrap();
    case.set("/linux/maskedPaths/-", "/masked").set("/linux/readonlyPaths/-", "/readonly");
    let _ = case.run();
    assert_eq!(std::fs::read_to_string(folder.join("marker")).unwrap(), SECRET);
    std::fs::write(folder.join("still-writable"), "").unwrap();
}

#[test]
fn a_device_is_not_made_through_a_link() {
    let mut case = Case::new();
    let folder = outside(&case);
    without_dev(&mut case);
    link(&case, "dev", &folder);
    case.set("/linux/devices", json!([{ "path": "/dev/made", "type": "c", "major": 1, "minor": 3, "fileMode": 438, "uid": 0, "gid": 0 }]));
    let _ = case.run();
    assert_eq!(entries(&folder), ["marker"]);
}
