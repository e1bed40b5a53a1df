//! The initramfs: just enough to mount the root disk. Debian's own would take ten times as long to unpack without KVM.

use super::cpio::Archive;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// The drivers between the kernel and its root disk. Those built into the kernel are not in the index and need nothing.
const NEEDED: &[&str] = &["virtio_pci", "virtio_blk", "virtio_console", "ext4"];

/// Runs as PID 1 until the root disk is mounted.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox modprobe -a virtio_pci virtio_blk virtio_console ext4
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /root
/bin/busybox umount /proc
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
";

/// Makes the initramfs for the one kernel whose modules are installed in `rootfs`.
pub(super) fn build(rootfs: &Path) -> Result<Vec<u8>> {
    let all = rootfs.join("usr/lib/modules");
    let version = only_entry(&all)?;
    let modules = all.join(&version);
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));

    let mut archive = Archive::new();
    for directory in ["bin", "dev", "proc", "root", "lib", "lib/modules"] {
        archive.directory(directory);
    }
    let target = format!("lib/modules/{version}");
    archive.directory(&target);
    archive.file("bin/busybox", 0o755, &read(&rootfs.join("usr/bin/busybox"))?);
    archive.file("init", 0o755, INIT.as_bytes());

    let index = String::from_utf8_lossy(&read(&modules.join("modules.dep"))?).into_owned();
    archive.file(&format!("{target}/modules.dep"), 0o644, index.as_bytes());
    archive.file(&format!("{target}/modules.builtin"), 0o644, &read(&modules.join("modules.builtin"))?);
    let mut made = BTreeSet::new();
    for module in closure(&index, NEEDED) {
        for (position, _) in module.match_indices('/') {
            if made.insert(module[..position].to_owned()) {
                archive.directory(&format!("{target}/{}", &module[..position]));
            }
        }
        archive.file(&format!("{target}/{module}"), 0o644, &read(&modules.join(&module))?);
    }
    Ok(archive.finish())
}

/// The files of these modules and of all they depend on, from the text of `modules.dep` (depmod(8)).
fn closure(index: &str, names: &[&str]) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for line in index.lines() {
        let Some((file, needs)) = line.split_once(':') else { continue };
        if names.contains(&module_name(file)) {
            files.insert(file.to_owned());
            files.extend(needs.split_whitespace().map(str::to_owned));
        }
    }
    files
}

/// `kernel/drivers/block/virtio_blk.ko.xz` → `virtio_blk`.
fn module_name(file: &str) -> &str {
    let base = file.rsplit('/').next().unwrap_or(file);
    base.split_once(".ko").map_or(base, |(name, _)| name)
}

/// The name of the single entry of a directory.
fn only_entry(directory: &Path) -> Result<String> {
    let mut entries =
        std::fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let entry = entries.next().with_context(|| format!("{} is empty", directory.display()))??;
    Ok(entry.file_name().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closure_holds_what_a_module_depends_on_and_nothing_else() {
        let index = "a/virtio.ko: a/ring.ko\na/virtio_blk.ko.xz: a/virtio.ko a/ring.ko\na/loop.ko:\n";
        let files: Vec<String> = closure(index, &["virtio_blk"]).into_iter().collect();
        assert_eq!(files, ["a/ring.ko", "a/virtio.ko", "a/virtio_blk.ko.xz"]);
    }
}
