//! The VM's disk, kernel and initramfs, made once from Debian's packages.

use super::{cache, initramfs};
use crate::steps::clock;
use crate::{mirror, repo, run};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Raised whenever the recipe below changes, so that older disks are made anew.
const RECIPE: u32 = 3;

/// What the end-to-end tests use inside, and systemd. Nothing that is only recommended comes along: no udev (drivers
/// are named in the initramfs, the rest is loaded on demand), no D-Bus.
const PACKAGES: &str = "systemd-sysv,kmod,iproute2,nftables,procps,openssh-client,busybox-static,e2fsprogs,mount,util-linux,passwd,conmon";

/// Size of the root disk as the VM sees it; the file is sparse.
const DISK_SIZE: &str = "8G";

/// Takes the kernel and its modules out of its package without installing it, for that would build an initramfs.
const KERNEL: &str = r#"chroot "$1" sh -ec '
cd /tmp
package=$(apt-cache depends linux-image-cloud-amd64 | sed -n "s/.*Depends: //p")
apt-get download $package
dpkg-deb -x linux-image*.deb kernel
mkdir -p /usr/lib/modules
mv kernel/lib/modules/* /usr/lib/modules/ 2>/dev/null || mv kernel/usr/lib/modules/* /usr/lib/modules/
mv kernel/boot/vmlinuz-* /boot/vmlinuz
rm -rf kernel linux-image*.deb
depmod "$(ls /usr/lib/modules)"'"#;

/// Runs the payload's command when the system is up, its output going to one port, its exit code to another.
const RUNNER: &str = r#"#!/bin/sh
port() { entry=$(grep -lx "$1" /sys/class/virtio-ports/*/name); echo "/dev/$(basename "$(dirname "$entry")")"; }
mkdir -p /payload
mount -t ext4 -o ro /dev/vdb /payload
repo=$(cat /payload/repo-path)
mkdir -p "$repo"
mount --bind /payload/repo "$repo"
cd "$repo"
HOME=/root LANG=C.UTF-8 sh /payload/command >"$(port output)" 2>&1 </dev/null
code=$?
echo "$code" >"$(port code)"
sync
poweroff -ff
"#;

/// Starts the runner, whether or not the rest of the system came up well.
const UNIT: &str = "[Unit]
Description=Run the command on the payload disk
After=basic.target

[Service]
Type=simple
ExecStart=/usr/local/sbin/run-payload
Delegate=no
TasksMax=infinity
";

/// Units that a machine of one minute has no use for.
const MASKED: &[&str] = &[
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "serial-getty@ttyS0.service",
    "systemd-firstboot.service",
    "systemd-random-seed.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-journal-flush.service",
    "systemd-logind.service",
    "systemd-networkd.service",
    "systemd-timesyncd.service",
    "systemd-pstore.service",
    "systemd-remount-fs.service",
    "getty.target",
];

/// A machine ready to boot.
pub(super) struct Machine {
    /// The kernel's bzImage.
    pub(super) kernel: PathBuf,
    /// What mounts the root disk.
    pub(super) initramfs: PathBuf,
    /// The root disk: ext4, without partitions.
    pub(super) disk: PathBuf,
}

/// Gives the machine of a Debian release, building it if it is missing or of an older recipe.
pub(super) fn ensure(release: &str) -> Result<Machine> {
    if !release.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        bail!("`{release}` is not the name of a Debian release");
    }
    let folder = cache(release)?;
    let _others_wait = repo::lock("vm")?;
    let machine = Machine {
        kernel: folder.join("vmlinuz"),
        initramfs: folder.join("initramfs"),
        disk: folder.join("disk.ext4"),
    };
    let key = folder.join("recipe");
    if std::fs::read_to_string(&key).is_ok_and(|recipe| recipe == RECIPE.to_string()) {
        return Ok(machine);
    }
    if !run::is_root() {
        bail!(
            "cannot build the VM's disk in {}: only root may make a Debian root file system",
            folder.display()
        );
    }
    let began = Instant::now();
    eprintln!("vm: building the {release} disk with mmdebstrap (once, about half a minute) …");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    build(release, &folder, &machine)?;
    std::fs::write(&key, RECIPE.to_string()).with_context(|| format!("cannot write {}", key.display()))?;
    eprintln!("vm: built in {}", clock(began.elapsed()));
    Ok(machine)
}

/// Makes the root file system in a temporary folder, and from it the disk.
fn build(release: &str, folder: &Path, machine: &Machine) -> Result<()> {
    let work = tempfile::Builder::new()
        .prefix("rootfs-")
        .tempdir_in(folder)
        .with_context(|| format!("cannot create a folder in {}", folder.display()))?;
    let rootfs = work.path().join("root");
    mmdebstrap(release, &rootfs, &folder.join("mmdebstrap.log"))?;
    configure(&rootfs)?;
    std::fs::write(&machine.initramfs, initramfs::build(&rootfs)?).context("cannot write the initramfs")?;
    std::fs::rename(rootfs.join("boot/vmlinuz"), &machine.kernel).context("cannot keep the kernel")?;
    run::logged(
        Command::new("mke2fs")
            .args(["-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d"])
            .args([&rootfs, &machine.disk])
            .arg(DISK_SIZE),
        &folder.join("mke2fs.log"),
    )
}

/// Calls mmdebstrap with the mirrors this machine's own apt is configured with.
fn mmdebstrap(release: &str, rootfs: &Path, log: &Path) -> Result<()> {
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--variant=apt", "--mode=root", "--format=directory"])
        .arg(format!("--include={PACKAGES}"))
        .arg(r#"--aptopt=Apt::Install-Recommends "false""#);
    for folder in ["man", "doc", "locale", "info"] {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{folder}/*"));
    }
    command.arg(format!("--customize-hook={KERNEL}")).arg(release).arg(rootfs);
    command.args(mirror::sources_of(release)?);
    run::logged(&mut command, log)
}

/// Adds the runner and takes away what only costs time.
fn configure(rootfs: &Path) -> Result<()> {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let write = |path: &str, text: &str| {
        std::fs::write(rootfs.join(path), text).with_context(|| format!("cannot write {path} of the VM"))
    };
    write("usr/local/sbin/run-payload", RUNNER)?;
    let runner = rootfs.join("usr/local/sbin/run-payload");
    std::fs::set_permissions(&runner, std::fs::Permissions::from_mode(0o755))
        .context("cannot make the runner executable")?;
    write("etc/systemd/system/run-payload.service", UNIT)?;
    let units = rootfs.join("etc/systemd/system");
    let wants = units.join("multi-user.target.wants");
    std::fs::create_dir_all(&wants).with_context(|| format!("cannot create {}", wants.display()))?;
    symlink("../run-payload.service", wants.join("run-payload.service"))
        .context("cannot enable the runner")?;
    let default = units.join("default.target");
    symlink("/usr/lib/systemd/system/multi-user.target", default).context("cannot set the boot target")?;
    for unit in MASKED {
        symlink("/dev/null", units.join(unit)).with_context(|| format!("cannot mask {unit}"))?;
    }
    write("etc/fstab", "")?;
    write("etc/hostname", "vm\n")?;
    write("etc/hosts", "127.0.0.1 localhost vm\n::1 localhost\n")?;
    write("etc/resolv.conf", "")?;
    write("etc/machine-id", "6d0f8d7d6a5f4b0c9a0d7f2c1b3e4a55\n")
}
