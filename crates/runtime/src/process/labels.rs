//! Labels of the kernel's security modules: an AppArmor profile, an SELinux label. Where the module is not there, a
//! specification that relies on it is refused.

use crate::{procfs::Proc, rootfs::build};
use rustix::fs::OFlags;
use sampan_types::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;

/// A process's labels, their modules being there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    apparmor: Option<String>,
    selinux: Option<String>,
}

/// Files that take effect at the calling process's next `execve`, with what is to be written to them.
#[derive(Debug, Default)]
pub(crate) struct Prepared(Vec<(OwnedFd, String)>);

impl Labels {
    /// Checks them; empty ones are none.
    pub(crate) fn parse(apparmor: Option<&str>, selinux: Option<&str>) -> Result<Self> {
        let some = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let labels = Self { apparmor: some(apparmor), selinux: some(selinux) };
        if labels.apparmor.is_some() && !has_apparmor() {
            return Err(Error::new(ErrorKind::Unsupported, "unable to apply apparmor profile")
                .because("apparmor: config provided but apparmor not supported"));
        }
        if labels.selinux.is_some() {
            build::check_label(labels.selinux.as_deref())?;
        }
        Ok(labels)
    }

    /// Opens what [`Prepared::apply`] writes to, while `/proc` is still the runtime's. Only the process that opens it may write.
    pub(crate) fn prepare(&self) -> Result<Prepared> {
        let mut files = Vec::new();
        if *self == Self::default() {
            return Ok(Prepared(files));
        }
        let proc = Proc::open()?;
        let own = |name: &str| proc.open_file(&format!("thread-self/attr/{name}"), OFlags::WRONLY);
        if let Some(profile) = &self.apparmor {
            // With several modules in the kernel each has a directory of its own (Linux 5.8).
            let file = own("apparmor/exec").or_else(|_| own("exec"))?;
            files.push((file, format!("exec {profile}")));
        }
        if let Some(label) = &self.selinux {
            files.push((own("exec")?, label.clone()));
        }
        Ok(Prepared(files))
    }

    /// Has keyrings that the calling process makes carry its label.
    pub(crate) fn label_keyrings(&self) -> Result<()> {
        match &self.selinux {
            Some(label) => Proc::open()?.write("thread-self/attr/keycreate", label),
            None => Ok(()),
        }
    }
}

impl Prepared {
    /// Has the next program run under its labels.
    pub(crate) fn apply(self) -> Result<()> {
        for (file, text) in self.0 {
            rustix::io::write(file, text.as_bytes())
                .map_err(|errno| Error::io(format!("cannot set the label {text:?}"), errno.into()))?;
        }
        Ok(())
    }
}

fn has_apparmor() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_without_its_module_is_refused() {
        assert_eq!(Labels::parse(Some(""), None).unwrap(), Labels::default());
        if !has_apparmor() {
            let error = Labels::parse(Some("p"), None).unwrap_err();
            assert_eq!(error.to_string(), "unable to apply apparmor profile");
            assert_eq!(error.causes(), ["apparmor: config provided but apparmor not supported"]);
        }
        if build::check_label(Some("x")).is_err() {
            let error = Labels::parse(None, Some("l")).unwrap_err();
            assert_eq!(
                error.causes(),
                ["selinux label is specified in config, but selinux is disabled or not supported"]
            );
        }
    }
}
