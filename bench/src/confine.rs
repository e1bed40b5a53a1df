//! Namespaces and folders of the run's own, so that nothing stays on the host.
//!
//! The peers write outside the folders they are given: lock files in /run, keys in /etc, leases of addresses in /var/lib, bridges and
//! firewall rules. The program therefore calls itself once more in a network and a mount namespace of its own, with an empty /run and
//! writable copies over the other folders.

use crate::programs::{output, words};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Folders that peers write to although nobody asked them to.
const WRITTEN: &[&str] = &["/etc", "/var/lib", "/opt"];
/// Control groups that peers leave at the top of each hierarchy.
const LEFT_GROUPS: &[&str] = &["docker", "libpod_parent", "lxc", "lxc.monitor", "lxc.payload", "lxc.pivot"];
const CGROUPS: &str = "/sys/fs/cgroup";

/// Replaces this process by itself in namespaces of its own.
pub(crate) fn again() -> Result<()> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    // Runtimes and daemons live in sbin, which a plain user's path, kept by su, may lack.
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    let error = Command::new("unshare")
        .env("PATH", path)
        .args(["--mount", "--net", "--"])
        .arg(own)
        .args(std::env::args_os().skip(1))
        .arg("--confined")
        .exec();
    Err(error).context("cannot run unshare (package util-linux)")
}

/// What the run has to itself.
pub(crate) struct Private {
    disk: TempDir,
    hugetlb: Option<PathBuf>,
}

/// Makes this process's fresh namespaces ready. Needs root.
pub(crate) fn begin() -> Result<Private> {
    if !rustix::process::geteuid().is_root() {
        bail!("cannot measure: the peers need root; run it as root");
    }
    // On disk, as the folders of an engine are: /tmp may be memory.
    let disk = tempfile::Builder::new()
        .prefix("sampan-bench-")
        .tempdir_in("/var/tmp")
        .context("cannot make a folder in /var/tmp")?;
    fs::set_permissions(disk.path(), fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot open {} to others", disk.path().display()))?;
    output(&words(["ip", "link", "set", "lo", "up"]))?;
    output(&words(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"]))?;
    fs::create_dir("/run/lock").context("cannot make /run/lock")?;
    for folder in WRITTEN {
        cover(folder, disk.path())?;
    }
    Ok(Private { hugetlb: mount_hugetlb()?, disk })
}

impl Private {
    /// The run's folder on disk.
    pub(crate) fn disk(&self) -> &Path {
        self.disk.path()
    }

    /// Takes away what does not end with the namespaces.
    pub(crate) fn end(self) -> Result<()> {
        remove_left_groups();
        if let Some(mounted) = &self.hugetlb {
            output(&words(["umount", &mounted.to_string_lossy()]))?;
            fs::remove_dir(mounted).with_context(|| format!("cannot remove {}", mounted.display()))?;
        }
        unmount_below(self.disk.path())?;
        let path = self.disk.path().to_owned();
        self.disk.close().with_context(|| format!("cannot remove {}", path.display()))
    }
}

/// Unmounts the copies over [`WRITTEN`] and what peers left mounted below `disk`, such as podman's mount of its own store. Lazily: a
/// daemon's last breath may still hold a file there.
fn unmount_below(disk: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    let places = mounts.lines().rev().filter_map(|line| line.split(' ').nth(1));
    for place in places.filter(|place| Path::new(place).starts_with(disk) || WRITTEN.contains(place)) {
        output(&words(["umount", "--lazy", place]))?;
    }
    Ok(())
}

/// Lays a writable copy over `folder`, its changes on `disk`.
fn cover(folder: &str, disk: &Path) -> Result<()> {
    let name = folder.trim_start_matches('/').replace('/', "-");
    let (upper, work) = (disk.join(format!("{name}.changes")), disk.join(format!("{name}.work")));
    for path in [&upper, &work] {
        fs::create_dir(path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    let options = format!("lowerdir={folder},upperdir={},workdir={}", upper.display(), work.display());
    output(&words(["mount", "-t", "overlay", "-o", &options, "overlay", folder])).map(|_| ())
}

/// Mounts the hugetlb controller where cgroup v1 rules and the host has not: crun runs nothing without. Gives where.
fn mount_hugetlb() -> Result<Option<PathBuf>> {
    let place = Path::new(CGROUPS).join("hugetlb");
    let controllers = fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let known = controllers.lines().any(|line| line.starts_with("hugetlb\t"));
    if !Path::new(CGROUPS).join("memory").is_dir() || place.exists() || !known {
        return Ok(None);
    }
    fs::create_dir(&place).with_context(|| format!("cannot make {}", place.display()))?;
    output(&words(["mount", "-t", "cgroup", "-o", "hugetlb", "cgroup", &place.to_string_lossy()]))?;
    Ok(Some(place))
}

/// Removes the control groups that peers leave, in every hierarchy. Their last processes may still be ending: tries for a while.
fn remove_left_groups() {
    let hierarchies = fs::read_dir(CGROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
    let places: Vec<PathBuf> = hierarchies.chain([PathBuf::from(CGROUPS)]).collect();
    let groups = || places.iter().flat_map(|place| LEFT_GROUPS.iter().map(|name| place.join(name)));
    for _ in 0..20 {
        groups().for_each(|group| remove_empty_groups(&group));
        if !groups().any(|group| group.exists()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Removes a control group and those below that nobody is in; one that is in use stays, as the kernel refuses.
fn remove_empty_groups(group: &Path) {
    let Ok(entries) = fs::read_dir(group) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty_groups(&entry.path());
        }
    }
    let _in_use = fs::remove_dir(group);
}
