//! The way from the host's root to the container's, and what travels between their mounts.

use super::options;
use crate::error::{Cannot, invalid};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    mount::{MountFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags},
};
use sampan_sys::mount::{Change, Propagation};
use sampan_types::{Result, spec::Linux};
use std::{
    ffi::OsString,
    os::{fd::OwnedFd, unix::ffi::OsStringExt},
    path::{Path, PathBuf},
};

/// Keeps what the child mounts away from the host. A mount namespace that belongs to a new user namespace is a
/// slave of the host's already. Tells whether they are shared with the host's all the same, since the specification wants it.
pub(super) fn separate(linux: &Linux, new_user_namespace: bool) -> Result<bool> {
    let wanted = propagation(linux)?;
    if new_user_namespace && wanted.is_none() {
        return Ok(false);
    }
    let flags = match wanted {
        // The root is made from what is bound out of the old one.
        Some(flags) if flags.contains(MountPropagationFlags::UNBINDABLE) => MountPropagationFlags::PRIVATE,
        Some(flags) => flags,
        None => MountPropagationFlags::DOWNSTREAM,
    };
    rustix::mount::mount_change("/", flags | MountPropagationFlags::REC)
        .cannot(|| "separate the mounts from the host's".into())?;
    Ok(flags.contains(MountPropagationFlags::SHARED))
}

/// Separates the mount that the new root is to be attached on: what is attached there would be seen by the host, and
/// `pivot_root` refuses a new root whose parent is shared. That of a directory is its nearest ancestor that is a mount point.
pub(super) fn separate_place(directory: Option<&Path>) -> Result<()> {
    for ancestor in directory.unwrap_or(Path::new("/")).ancestors() {
        match rustix::mount::mount_change(ancestor, MountPropagationFlags::PRIVATE) {
            Err(Errno::INVAL) => {}
            changed => {
                return changed.cannot(|| format!("separate {} from the host's mounts", ancestor.display()));
            }
        }
    }
    Ok(())
}

/// Attaches the new root so that it is a mount that can become the root: at its own directory, where hooks look for it, else
/// over the old one, where no path look-up passes. Tells whether it is over the old one.
pub(super) fn attach_root(tree: &OwnedFd, directory: Option<&Path>) -> Result<bool> {
    let attach = |path: &Path| {
        rustix::mount::move_mount(tree, "", rustix::fs::CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
    };
    if let Some(directory) = directory {
        match attach(directory) {
            // The root of a user namespace need not be able to go there.
            Err(Errno::ACCESS | Errno::PERM) => separate_place(None)?,
            attached => {
                return attached.cannot(|| "attach the root filesystem".into()).map(|()| false);
            }
        }
    }
    attach(Path::new("/")).cannot(|| "attach the root filesystem".into()).map(|()| true)
}

/// Makes `root` the root and gives up the old one.
pub(super) fn pivot(root: &OwnedFd, linux: &Linux) -> Result<()> {
    let shared = is_shared(linux);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let old = shared.then(|| rustix::fs::open("/", flags, Mode::empty()));
    let old = old.transpose().cannot(|| "open the host's root".into())?;
    rustix::process::fchdir(root).cannot(|| "enter the root filesystem".into())?;
    // Both names being one place, the old root ends up stacked on the new one (pivot_root(2), "pivot_root(".", ".")").
    rustix::process::pivot_root(".", ".").map_err(|errno| {
        let error = sampan_types::Error::io("cannot pivot to the root filesystem", errno.into());
        if errno == Errno::INVAL { error.hint("on a ramdisk, use --no-pivot") } else { error }
    })?;
    if let Some(old) = &old {
        // Or giving up the host's mounts would unmount them on the host too.
        Change { propagation: Some(Propagation::Slave), recursive: true, ..Change::default() }
            .apply(old)
            .cannot(|| "separate the host's root".into())?;
    }
    rustix::mount::unmount(".", UnmountFlags::DETACH).cannot(|| "detach the host's root".into())?;
    rustix::process::chdir("/").cannot(|| "enter the new root".into())
}

/// The same without `pivot_root`, which a ramdisk as the host's root refuses: the new root covers the old one. `bare` are the host's
/// mounts of the kernel's trees, of which nothing may stay reachable.
pub(super) fn cover(root: &OwnedFd, over_the_old: bool, bare: &[PathBuf]) -> Result<()> {
    for path in bare {
        rustix::mount::mount_change(path, MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
            .cannot(|| format!("separate the host's {}", path.display()))?;
        match rustix::mount::unmount(path, UnmountFlags::DETACH) {
            // In a user namespace mounts are locked, and can only be covered.
            Err(Errno::INVAL | Errno::PERM) => {
                rustix::mount::mount("tmpfs", path, "tmpfs", MountFlags::RDONLY, None)
            }
            unmounted => unmounted,
        }
        .cannot(|| format!("hide the host's {}", path.display()))?;
    }
    rustix::process::fchdir(root).cannot(|| "enter the root filesystem".into())?;
    if !over_the_old {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(root, "", rustix::fs::CWD, "/", flags)
            .cannot(|| "move the root filesystem over the host's root".into())?;
    }
    rustix::process::chroot(".")
        .and_then(|()| rustix::process::chdir("/"))
        .cannot(|| "enter the new root".into())
}

/// Where the host has its mounts of proc and sysfs, before there are the container's; not those in the root filesystem.
pub(super) fn bare_mounts(directory: Option<&Path>) -> Result<Vec<PathBuf>> {
    let text = std::fs::read("/proc/self/mountinfo").cannot(|| "read /proc/self/mountinfo".into())?;
    let own = |path: &PathBuf| directory.is_none_or(|directory| !path.starts_with(directory));
    Ok(text.split(|byte| *byte == b'\n').filter_map(bare_mount).filter(own).collect())
}

/// proc(5): the fifth field is the mount point; the filesystem's type follows a lone dash.
fn bare_mount(line: &[u8]) -> Option<PathBuf> {
    let mut fields = line.split(|byte| *byte == b' ');
    let point = fields.nth(4)?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    matches!(kind, b"proc" | b"sysfs").then(|| PathBuf::from(OsString::from_vec(unescaped(point))))
}

/// The kernel writes blanks and backslashes as three octal digits.
pub(crate) fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| byte == b'\\') {
            Some(code) => (bytes.push(code), rest = &after[3..]),
            None => (bytes.push(byte), rest = after),
        };
    }
    bytes
}

/// Sets the propagation of the new root where the specification names one.
pub(super) fn propagate(linux: &Linux) -> Result<()> {
    match propagation(linux)? {
        Some(flags) => rustix::mount::mount_change("/", flags).cannot(|| "set the root's propagation".into()),
        None => Ok(()),
    }
}

/// Whether the root's mounts are to be shared.
pub(super) fn is_shared(linux: &Linux) -> bool {
    propagation(linux)
        .is_ok_and(|flags| flags.is_some_and(|flags| flags.contains(MountPropagationFlags::SHARED)))
}

fn propagation(linux: &Linux) -> Result<Option<MountPropagationFlags>> {
    let Some(word) = linux.rootfs_propagation.as_deref().filter(|word| !word.is_empty()) else {
        return Ok(None);
    };
    let Some((propagation, recursive)) = options::propagation(word) else {
        return Err(invalid(format!("invalid rootfsPropagation {word:?}"), "no such propagation"));
    };
    let flags = match propagation {
        Propagation::Shared => MountPropagationFlags::SHARED,
        Propagation::Slave => MountPropagationFlags::DOWNSTREAM,
        Propagation::Private => MountPropagationFlags::PRIVATE,
        Propagation::Unbindable => MountPropagationFlags::UNBINDABLE,
    };
    Ok(Some(if recursive { flags | MountPropagationFlags::REC } else { flags }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_the_kernel_s_trees_are_found() {
        let line = |kind: &str| format!("22 27 0:21 / /a\\040b\\134 rw,relatime shared:1 - {kind} {kind} rw");
        assert_eq!(bare_mount(line("proc").as_bytes()), Some(PathBuf::from("/a b\\")));
        assert_eq!(bare_mount(line("sysfs").as_bytes()), Some(PathBuf::from("/a b\\")));
        assert_eq!(bare_mount(line("tmpfs").as_bytes()), None);
        assert_eq!(bare_mount(b""), None);
        assert!(bare_mounts(None).unwrap().contains(&PathBuf::from("/proc")));
        assert_eq!(bare_mounts(Some(Path::new("/"))).unwrap(), Vec::<PathBuf>::new());
    }
}
