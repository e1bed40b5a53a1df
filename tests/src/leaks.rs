//! What an engine without containers must not have left on the host.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The name that an engine with this root has on the host: of its control group, and its firewall table.
///
/// The same rule as the engine's own (`engine/src/paths.rs`), written down here a second time so that a change of it
/// does not make the checks below look in the wrong place unseen: they assert that the cgroup is there while a container runs.
pub fn instance(root: &Path) -> String {
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let bytes = root.as_os_str().as_bytes();
    let hash =
        bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("sampan-{hash:08x}")
}

/// Fails when anything of the containers of an engine is left on the host although it has no container any more.
#[track_caller]
pub fn assert_nothing_left(root: &Path, run: &Path, after: &str) {
    let left = left(root, run);
    assert!(left.is_empty(), "left behind after {after}:\n{}", left.join("\n"));
}

/// What is left of an engine that was shut down, one line each: that of its containers, and its own.
pub(crate) fn left_after_shutdown(root: &Path, run: &Path) -> Vec<String> {
    let mut found = left(root, run);
    let instance = instance(root);
    let own =
        hierarchies().into_iter().map(|hierarchy| hierarchy.join(&instance)).filter(|path| path.exists());
    found.extend(own.map(|path| format!("control group {}", path.display())));
    let bridge = Path::new("/sys/class/net").join(bridge(&instance));
    if bridge.exists() {
        found.push(format!("interface {}", bridge.display()));
    }
    found.extend(processes(root, run));
    let tables = Command::new("nft").args(["list", "tables"]).output().expect("nft can be run");
    let tables = String::from_utf8_lossy(&tables.stdout).into_owned();
    found.extend(
        tables.lines().filter(|line| line.ends_with(&instance)).map(|line| format!("firewall {line}")),
    );
    found
}

/// What is left of the containers of an engine that has none, one line each. What ends by itself gets time: the names process waits ten seconds for another
/// container.
fn left(root: &Path, run: &Path) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(if crate::lane() == crate::Lane::Vm { 60 } else { 25 });
    loop {
        let found = now(root, run);
        if found.is_empty() || Instant::now() > end {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn now(root: &Path, run: &Path) -> Vec<String> {
    let instance = instance(root);
    let mut found = mounts(root.parent().unwrap_or(root), run);
    found.extend(cgroups(&instance).iter().map(|path| format!("control group {}", path.display())));
    found.extend(interfaces(&instance));
    found.extend(firewall_elements(&instance));
    // The one that serves names ends by itself a while after the last container, or at a shutdown.
    found.extend(processes(root, run).into_iter().filter(|process| !process.contains(" internal names ")));
    for folder in ["containers", "shims", "pending"] {
        found.extend(entries(&run.join(folder)));
    }
    found.extend(entries(&root.join("containers")));
    found.extend(id_claims(run));
    found
}

fn mounts(base: &Path, run: &Path) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo can be read");
    let ours = |line: &&str| [base, run].iter().any(|path| line.contains(&*path.to_string_lossy()));
    table.lines().filter(ours).map(|line| format!("mount {line}")).collect()
}

/// The control groups below the engine's own, in every hierarchy.
fn cgroups(instance: &str) -> Vec<PathBuf> {
    hierarchies().iter().flat_map(|hierarchy| folders(&hierarchy.join(instance))).collect()
}

/// Where hierarchies may be mounted: one of version 2, or a folder for each of version 1.
fn hierarchies() -> Vec<PathBuf> {
    let top = PathBuf::from("/sys/fs/cgroup");
    let below = folders(&top);
    std::iter::once(top).chain(below).collect()
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Ports of the engine's bridge.
fn interfaces(instance: &str) -> Vec<String> {
    let ports = format!("/sys/class/net/{}/brif", bridge(instance));
    entries(Path::new(&ports)).iter().map(|port| format!("interface {port}")).collect()
}

/// Elements of the sets and maps in the engine's table.
fn firewall_elements(instance: &str) -> Vec<String> {
    let output = Command::new("nft").args(["-j", "list", "ruleset"]).output().expect("nft can be run");
    let ruleset: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let objects = ruleset["nftables"].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for object in objects {
        for kind in ["set", "map"] {
            let set = &object[kind];
            // The other sets are the network's own, which may stay.
            let of_containers = set["name"].as_str().is_some_and(|name| {
                ["ports", "bound", "loops"].iter().any(|prefix| name.starts_with(prefix))
            });
            let containers = set["elem"].as_array().filter(|_| set["table"] == instance && of_containers);
            found.extend(
                containers.into_iter().flatten().map(|element| format!("firewall element {element}")),
            );
        }
    }
    found
}

/// Processes that were given a path of the engine: shims, the names process, commands.
fn processes(root: &Path, run: &Path) -> Vec<String> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for process in folders(Path::new("/proc")) {
        let words = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        let ours = [root, run].iter().any(|path| words.contains(&*path.to_string_lossy()));
        if ours && process.file_name().is_some_and(|name| name.to_string_lossy() != own) {
            found.push(format!("process {} {words}", process.display()));
        }
    }
    found
}

/// Claims to ranges of user ids by the engine's containers.
fn id_claims(run: &Path) -> Vec<String> {
    let claims = std::fs::read_dir("/run/sampan-ids").into_iter().flatten().flatten();
    let targets = claims.filter_map(|claim| std::fs::read_link(claim.path()).ok());
    targets
        .filter(|target| target.starts_with(run))
        .map(|target| format!("id range of {}", target.display()))
        .collect()
}

fn entries(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| format!("entry {}", entry.path().display())).collect()
}

fn bridge(instance: &str) -> String {
    instance.replace("sampan-", "sampan")
}
