//! New filesystems through fsopen(2) and its kin (Linux 5.2): a mount that exists before it is seen anywhere.

use super::options::Options;
use crate::error::Cannot;
use rustix::{
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags},
};
use sampan_sys::mount::Attr;
use sampan_types::{Error, Result};
use std::os::fd::{AsFd, OwnedFd};

/// A filesystem on its way.
#[derive(Debug)]
pub(crate) struct Filesystem<'a> {
    kind: &'a str,
    context: OwnedFd,
}

impl<'a> Filesystem<'a> {
    /// Begins one of a kind.
    pub(crate) fn open(kind: &'a str) -> Result<Self> {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)
            .cannot(|| format!("open the filesystem type {kind}"))?;
        Ok(Self { kind, context })
    }

    /// That of a mount, to be changed (Linux 5.2).
    pub(crate) fn of_mount(mount: impl AsFd) -> Result<Filesystem<'static>> {
        let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH;
        let context =
            rustix::mount::fspick(mount, "", flags).cannot(|| "pick the mount's filesystem".into())?;
        Ok(Filesystem { kind: "remount", context })
    }

    /// Changes it.
    pub(crate) fn reconfigure(self, options: &Options<'_>) -> Result<()> {
        self.set_all(options)?;
        rustix::mount::fsconfig_reconfigure(&self.context)
            .map_err(|errno| self.explain(errno, "change the filesystem".into()))
    }

    /// Sets what a mount's options have for the filesystem.
    pub(crate) fn set_all(&self, options: &Options<'_>) -> Result<()> {
        options.filesystem.iter().try_for_each(|option| self.set_option(option))?;
        options.superblock.iter().try_for_each(|flag| self.set_flag(flag))
    }

    /// Sets an option as mount(8) has it: `key=value`, or a bare word.
    pub(crate) fn set_option(&self, option: &str) -> Result<()> {
        match option.split_once('=') {
            Some((key, value)) => self.set(key, value.as_bytes()),
            None => self.set_flag(option),
        }
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        rustix::mount::fsconfig_set_string(&self.context, key, value).map_err(|errno| {
            self.explain(errno, format!("set the option {key}={}", String::from_utf8_lossy(value)))
        })
    }

    pub(crate) fn set_flag(&self, flag: &str) -> Result<()> {
        rustix::mount::fsconfig_set_flag(&self.context, flag)
            .map_err(|errno| self.explain(errno, format!("set the option {flag}")))
    }

    /// Makes it, and a mount of it that is attached nowhere.
    pub(crate) fn mount(self, attr: Attr) -> Result<OwnedFd> {
        rustix::mount::fsconfig_create(&self.context)
            .map_err(|errno| self.explain(errno, "make the filesystem".into()))?;
        // All bits of `Attr` are among the first 32.
        let attr = MountAttrFlags::from_bits_retain(attr.bits() as u32);
        rustix::mount::fsmount(&self.context, FsMountFlags::FSMOUNT_CLOEXEC, attr)
            .map_err(|errno| self.explain(errno, "mount the filesystem".into()))
    }

    /// The kernel keeps a log for each filesystem on its way; its words say more than the number.
    fn explain(&self, errno: Errno, what: String) -> Error {
        let mut text = [0; 512];
        let said = rustix::io::read(&self.context, &mut text).map_or(0, |count| count);
        let said = String::from_utf8_lossy(&text[..said]);
        let said = said.trim_end().trim_start_matches("e ");
        let error = Error::io(format!("cannot {what} ({})", self.kind), errno.into());
        if said.is_empty() {
            error
        } else {
            Error::new(error.kind(), error.to_string()).because(said.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_own_words_are_the_cause() {
        let filesystem = Filesystem::open("tmpfs").unwrap();
        let error = filesystem.set_option("colour=red").unwrap_err();
        assert_eq!(error.to_string(), "cannot set the option colour=red (tmpfs)");
        assert_eq!(error.causes(), ["tmpfs: Unknown parameter 'colour'"]);
        filesystem.set_option("size=4k").unwrap();
        filesystem.mount(Attr::NODEV).unwrap();
        let error = Filesystem::open("nofs").unwrap_err();
        assert_eq!(error.to_string(), "cannot open the filesystem type nofs");
    }
}
