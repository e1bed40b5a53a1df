//! Mount options: what mount(8) knows, with the specification's recursive ones (config.md, "Linux mount options").

use crate::error::invalid;
use sampan_sys::mount::{Attr, Propagation};
use sampan_types::{Result, spec::Mount};

/// What a mount's options come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options<'a> {
    /// A bind mount: of one mount, or with all below it.
    pub(crate) bind: Option<Bind>,
    /// Bits to set and to clear on this mount.
    pub(crate) set: Attr,
    pub(crate) clear: Attr,
    /// The same on it and all below it.
    pub(crate) set_all: Attr,
    pub(crate) clear_all: Attr,
    /// Propagation, in order; `true` for it and all below it.
    pub(crate) propagation: Vec<(Propagation, bool)>,
    /// Ids are to be mapped: `Some(true)` for all below it too.
    pub(crate) idmap: Option<bool>,
    /// The tmpfs starts with what it covers.
    pub(crate) copy_up: bool,
    /// For the filesystem itself.
    pub(crate) filesystem: Vec<&'a str>,
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
            options.add(option);
        }
        if options.bind.is_none() && mount.fs_type.as_deref() == Some("bind") {
            options.bind = Some(Bind::One);
        }
        if options.bind.is_some() && !options.filesystem.is_empty() {
            return Err(invalid(
                format!("invalid mount on {}", mount.destination.display()),
                format!("a bind mount has no option {:?}", options.filesystem.join(",")),
            ));
        }
        if options.bind.is_none() && (!mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty()) {
            return Err(invalid(
                format!("invalid mount on {}", mount.destination.display()),
                "only bind mounts have their ids mapped",
            ));
        }
        // A mapping without the word asks for it too.
        if options.idmap.is_none() && !mount.uid_mappings.is_empty() {
            options.idmap = Some(false);
        }
        Ok(options)
    }

    fn add(&mut self, option: &'a str) {
        match option {
            // `rbind` stays, also when `bind` follows.
            "bind" => self.bind = self.bind.or(Some(Bind::One)),
            "rbind" => self.bind = Some(Bind::All),
            "idmap" => self.idmap = self.idmap.or(Some(false)),
            "ridmap" => self.idmap = Some(true),
            "tmpcopyup" => self.copy_up = true,
            // Defaults, and words that only mount(8) itself cares for.
            "defaults" | "" | "async" | "nomand" | "nolazytime" | "loud" | "noiversion" => {}
            _ => match propagation(option) {
                Some(change) => self.propagation.push(change),
                None => self.add_attribute(option),
            },
        }
    }

    fn add_attribute(&mut self, option: &'a str) {
        // `rro` is `ro` for all below; `relatime` is no recursive one.
        let recursive =
            option.strip_prefix('r').filter(|_| option != "ro" && option != "rw").and_then(attribute);
        match (attribute(option), recursive) {
            (Some(change), _) => {
                (self.set, self.clear) = change.onto(self.set, self.clear);
            }
            (None, Some(change)) => {
                (self.set_all, self.clear_all) = change.onto(self.set_all, self.clear_all);
            }
            (None, None) => self.filesystem.push(option),
        }
    }
}

/// What one word does to a mount's bits.
#[derive(Clone, Copy)]
struct Change {
    set: Attr,
    clear: Attr,
}

impl Change {
    /// Later words win over earlier ones.
    fn onto(self, set: Attr, clear: Attr) -> (Attr, Attr) {
        (set.without(self.clear) | self.set, clear.without(self.set) | self.clear)
    }
}

fn attribute(option: &str) -> Option<Change> {
    let set = |attr| Some(Change { set: attr, clear: Attr::default() });
    let clear = |attr| Some(Change { set: Attr::default(), clear: attr });
    let access = |attr| Some(Change { set: attr, clear: Attr::ATIME });
    match option {
        "ro" => set(Attr::RDONLY),
        "rw" => clear(Attr::RDONLY),
        "nosuid" => set(Attr::NOSUID),
        "suid" => clear(Attr::NOSUID),
        "nodev" => set(Attr::NODEV),
        "dev" => clear(Attr::NODEV),
        "noexec" => set(Attr::NOEXEC),
        "exec" => clear(Attr::NOEXEC),
        "nodiratime" => set(Attr::NODIRATIME),
        "diratime" => clear(Attr::NODIRATIME),
        "nosymfollow" => set(Attr::NOSYMFOLLOW),
        "symfollow" => clear(Attr::NOSYMFOLLOW),
        "noatime" => access(Attr::NOATIME),
        "strictatime" => access(Attr::STRICTATIME),
        "relatime" | "atime" | "norelatime" | "nostrictatime" => access(Attr::RELATIME),
        _ => None,
    }
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
mod tests {
    use super::*;

    fn mount(fs_type: &str, options: &[&str]) -> Mount {
        Mount {
            destination: "/x".into(),
            fs_type: Some(fs_type.into()),
            options: options.iter().map(|&option| option.into()).collect(),
            ..Mount::default()
        }
    }

    #[test]
    fn words_become_bits() {
        let mount =
            mount("none", &["rbind", "bind", "ro", "nosuid", "suid", "rnoexec", "rro", "rslave", "ridmap"]);
        let options = Options::parse(&mount).unwrap();
        assert_eq!(options.bind, Some(Bind::All));
        assert_eq!((options.set, options.clear), (Attr::RDONLY, Attr::NOSUID));
        assert_eq!(options.set_all, Attr::NOEXEC | Attr::RDONLY);
        assert_eq!(options.propagation, [(Propagation::Slave, true)]);
        assert_eq!(options.idmap, Some(true));
    }

    #[test]
    fn access_time_words_replace_each_other() {
        let mount = mount("tmpfs", &["noatime", "strictatime", "relatime", "rnoatime", "size=1k"]);
        let options = Options::parse(&mount).unwrap();
        assert!(options.set.is_empty() && options.clear == Attr::ATIME);
        assert_eq!(options.set_all, Attr::NOATIME);
        assert_eq!(options.filesystem, ["size=1k"]);
    }

    #[test]
    fn a_bind_mount_has_no_filesystem_options() {
        let mount = mount("bind", &["ro", "mode=755"]);
        let error = Options::parse(&mount).unwrap_err();
        assert_eq!(error.to_string(), "invalid mount on /x");
        assert_eq!(error.causes(), ["a bind mount has no option \"mode=755\""]);
    }
}
