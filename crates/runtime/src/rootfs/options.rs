//! Mount options: what mount(8) knows, with the specification's recursive ones (config.md, "Linux mount options") and the words
//! that crun and runc add.

mod attributes;
mod idmap;

pub(crate) use attributes::Attributes;
pub(crate) use idmap::Idmap;

use super::target::LastLink;
use crate::{
    error::{Cannot, invalid},
    idmap::IdMaps,
};
use rustix::io::Errno;
use sampan_sys::mount::Propagation;
use sampan_types::{Result, spec::Mount};
use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::Path};

/// What a mount's options come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options<'a> {
    /// A bind mount: of one mount, or with all below it.
    pub(crate) bind: Option<Bind>,
    /// What is there is changed; nothing is mounted.
    pub(crate) remount: bool,
    /// What it is to allow.
    pub(crate) attributes: Attributes,
    /// Propagation, in order; `true` for it and all below it.
    pub(crate) propagation: Vec<(Propagation, bool)>,
    /// Ids are to be mapped.
    pub(crate) idmap: Option<Idmap>,
    /// The tmpfs starts with what it covers.
    pub(crate) copy_up: bool,
    /// A source that is a symbolic link is made anew at the destination instead of mounted.
    copy_symlink: bool,
    /// What that link points at.
    pub(crate) copied_link: Option<OsString>,
    /// A source that is a symbolic link is bound itself.
    pub(crate) keep_source_link: bool,
    /// A destination that is a symbolic link is covered itself.
    keep_target_link: bool,
    /// For the filesystem itself.
    pub(crate) filesystem: Vec<&'a str>,
    /// The same as flags that every filesystem knows; they mean nothing for a bind mount.
    pub(crate) superblock: Vec<&'a str>,
}

/// How much a bind mount shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bind {
    /// One mount.
    One,
    /// With all below it.
    All,
}

impl<'a> Options<'a> {
    /// Reads a mount's options; what is not known goes to the filesystem.
    pub(crate) fn parse(mount: &'a Mount) -> Result<Self> {
        let mut options = Self::default();
        for option in &mount.options {
            options.add(option).map_err(|why| refused(mount, why))?;
        }
        let kind = mount.fs_type.as_deref().unwrap_or_default();
        if options.bind.is_none() && kind == "bind" {
            options.bind = Some(Bind::One);
        }
        if options.bind.is_some() && !options.filesystem.is_empty() {
            // The words are runc's.
            let why = "bind mounts cannot have any filesystem-specific options applied";
            return Err(refused(mount, format!("{why}: {:?}", options.filesystem.join(","))));
        }
        if options.bind.is_none() && !options.remount && matches!(kind, "" | "none") {
            return Err(refused(mount, "it has no filesystem type, and is no bind mount"));
        }
        options.take_maps(mount)?;
        Ok(options)
    }

    fn take_maps(&mut self, mount: &Mount) -> Result<()> {
        let (uids, gids) = (&mount.uid_mappings, &mount.gid_mappings);
        if uids.is_empty() != gids.is_empty() {
            return Err(refused(mount, "it must have both uidMappings and gidMappings"));
        }
        if !uids.is_empty() {
            // Maps without the word ask for it too.
            let idmap = self.idmap.get_or_insert_default();
            (idmap.uids, idmap.gids) = (uids.clone(), gids.clone());
        }
        match self.idmap {
            Some(_) if self.bind.is_none() => {
                Err(refused(mount, "id-mapped mounts are only supported for bind-mounts"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a tree of mounts is bound.
    pub(crate) fn makes_tree(&self) -> bool {
        self.bind.is_some() && !self.remount && self.copied_link.is_none()
    }

    /// What is meant by a destination that ends with a symbolic link.
    pub(crate) fn last_link(&self) -> LastLink {
        if self.keep_target_link { LastLink::Keep } else { LastLink::Follow }
    }

    /// Looks at the source of a mount that is to copy it where it is a symbolic link.
    pub(crate) fn read_link(&mut self, mount: &Mount, bundle: &Path) -> Result<()> {
        if let (true, Some(source)) = (self.copy_symlink, &mount.source) {
            self.copied_link = match rustix::fs::readlink(bundle.join(source), Vec::new()) {
                Ok(link) => Some(OsString::from_vec(link.into_bytes())),
                // No link: it is bound.
                Err(Errno::INVAL) => None,
                Err(errno) => return Err(errno).cannot(|| format!("look at {}", source.display())),
            };
        }
        Ok(())
    }

    /// Leaves out what a user namespace has no name for: the group that terminals belong to by convention.
    pub(crate) fn drop_unmapped(&mut self, mount: &Mount, maps: &IdMaps) {
        if mount.fs_type.as_deref() == Some("devpts") {
            self.filesystem.retain(|option| {
                let gid = option.strip_prefix("gid=").and_then(|gid| gid.parse().ok());
                gid.is_none_or(|gid| maps.host_gid(gid).is_some())
            });
        }
    }

    fn add(&mut self, option: &'a str) -> Result<(), String> {
        match option {
            // `rbind` stays, also when `bind` follows.
            "bind" => self.bind = self.bind.or(Some(Bind::One)),
            "rbind" => self.bind = Some(Bind::All),
            "remount" => self.remount = true,
            "tmpcopyup" => self.copy_up = true,
            "copy-symlink" => self.copy_symlink = true,
            "src-nofollow" => self.keep_source_link = true,
            "dest-nofollow" => self.keep_target_link = true,
            "sync" | "dirsync" | "mand" | "lazytime" | "async" | "nomand" | "nolazytime" => {
                self.superblock.push(option);
            }
            // Defaults, and words that only mount(8) or mount(2) itself care for.
            "defaults" | "" | "loud" | "silent" | "iversion" | "noiversion" | "acl" | "noacl" => {}
            _ => {
                if let Some(change) = propagation(option) {
                    self.propagation.push(change);
                } else if let Some(idmap) = Idmap::parse(option) {
                    self.idmap = Some(idmap?.over(self.idmap.take()));
                } else if !self.attributes.add(option) {
                    self.filesystem.push(option);
                }
            }
        }
        Ok(())
    }
}

fn refused(mount: &Mount, why: impl Into<String>) -> sampan_types::Error {
    invalid(format!("invalid mount on {}", mount.destination.display()), why)
}

/// The propagation of a word of mount(8), and whether it goes for all below too.
pub(crate) fn propagation(option: &str) -> Option<(Propagation, bool)> {
    Some(match option {
        "shared" => (Propagation::Shared, false),
        "rshared" => (Propagation::Shared, true),
        "slave" => (Propagation::Slave, false),
        "rslave" => (Propagation::Slave, true),
        "private" => (Propagation::Private, false),
        "rprivate" => (Propagation::Private, true),
        "unbindable" => (Propagation::Unbindable, false),
        "runbindable" => (Propagation::Unbindable, true),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
