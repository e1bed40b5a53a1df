//! What a case must not have left on the host, and how it is taken away after a failure.

use super::cgroups::hierarchies;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What is left of a case, one line each. What ends by itself gets a moment.
pub(super) fn left(base: &Path, state: &Path, cgroup: &str) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let found = now(base, state, cgroup);
        if found.is_empty() || Instant::now() > end {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn now(base: &Path, state: &Path, cgroup: &str) -> Vec<String> {
    let mut found: Vec<String> = mounts(base).iter().map(|mount| format!("mount {mount}")).collect();
    found.extend(groups(cgroup).iter().map(|path| format!("control group {}", path.display())));
    let entries = std::fs::read_dir(state).into_iter().flatten().flatten();
    // crun keeps compiled filters in `.cache`.
    let entries = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    found.extend(entries.map(|entry| format!("state {}", entry.path().display())));
    found.extend(processes(base).iter().map(|(pid, words)| format!("process {pid} {words}")));
    found
}

/// Mount points below a folder.
fn mounts(base: &Path) -> Vec<String> {
    let base = format!("{}/", base.display());
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo can be read");
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    points.filter(|point| point.starts_with(&base)).map(str::to_owned).collect()
}

/// The folders of a control group that exist. Its parent need not go: runtimes make it and leave it.
fn groups(cgroup: &str) -> Vec<PathBuf> {
    let cgroup = cgroup.trim_start_matches('/');
    hierarchies().iter().map(|(_, top)| top.join(cgroup)).filter(|path| path.exists()).collect()
}

/// Processes that were given a path below a folder: the runtime's own.
fn processes(base: &Path) -> Vec<(u32, String)> {
    let base = base.to_string_lossy();
    let own = std::process::id();
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(|pid| *pid != own);
    pids.filter_map(|pid| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        words.contains(&*base).then_some((pid, words))
    })
    .collect()
}

/// Ends and removes what a failed case left, as far as it can.
pub(super) fn clear(base: &Path, cgroup: &str) {
    for _ in 0..20 {
        for (pid, _) in processes(base) {
            signal(pid);
        }
        for group in groups(cgroup) {
            empty(&group);
        }
        for mount in mounts(base).iter().rev() {
            let _ = Command::new("umount").args(["-l", mount]).stderr(Stdio::null()).status();
        }
        if groups(cgroup).is_empty() && mounts(base).is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Removes a control group in all hierarchies, with everything in it: one that a case made, or that a runtime made as a parent.
pub(crate) fn remove_group(cgroup: &str) {
    groups(cgroup).iter().for_each(|group| empty(group));
}

/// Kills what is in a control group and those below it, and removes them.
fn empty(group: &Path) {
    let _ = std::fs::write(group.join("freezer.state"), "THAWED");
    let _ = std::fs::write(group.join("cgroup.freeze"), "0");
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            empty(&entry.path());
        }
    }
    let pids = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    pids.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid != std::process::id()).for_each(signal);
    let _ = std::fs::remove_dir(group);
}

fn signal(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}
