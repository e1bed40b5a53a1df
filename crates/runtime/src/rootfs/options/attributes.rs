//! What a mount allows, asked for word by word.

use sampan_sys::mount::Attr;

/// The words about a mount's attributes.
///
/// Those without `r` mean what the flags of mount(2) mean: access time policies are no bits of a set there, and words that only
/// clear one leave a bound mount's policy as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Bits to be set on this mount, without the access time policy.
    pub(crate) set: Attr,
    /// Bits that are explicitly not to be set, access times included.
    pub(crate) cleared: Attr,
    access: Access,
    /// Whether there was any word for this mount.
    pub(crate) given: bool,
    /// The same for it and all below it: bits to set and to clear.
    pub(crate) set_all: Attr,
    pub(crate) clear_all: Attr,
}

/// The flags of mount(2) about access times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Access {
    none: bool,
    relative: bool,
    strict: bool,
    none_for_directories: bool,
}

/// What a bind mount with any word gives up of its source's, as mount(2) has it with `MS_BIND | MS_REMOUNT`.
const REPLACED: [Attr; 5] = [Attr::RDONLY, Attr::NOSUID, Attr::NODEV, Attr::NOEXEC, Attr::NOSYMFOLLOW];

impl Attributes {
    /// Takes a word in; `false` where it is none of these.
    pub(crate) fn add(&mut self, word: &str) -> bool {
        if let Some((attr, set)) = bit(word) {
            self.mark(attr, set);
        } else if let Some((attr, set)) = access(word) {
            self.mark(attr, set);
            self.set = self.set.without(Attr::ATIME | Attr::NODIRATIME);
            match word.trim_start_matches("no") {
                "atime" => self.access.none = set,
                "diratime" => self.access.none_for_directories = set,
                "relatime" => self.access.relative = set,
                _ => self.access.strict = set,
            }
        } else if let Some((attr, set)) = word.strip_prefix('r').and_then(bit) {
            let (to, from) = match set {
                true => (&mut self.set_all, &mut self.clear_all),
                false => (&mut self.clear_all, &mut self.set_all),
            };
            (*to, *from) = (*to | attr, from.without(attr));
        } else if let Some((attr, set)) = word.strip_prefix('r').and_then(access) {
            self.add_access_for_all(attr, set);
        } else {
            return false;
        }
        true
    }

    fn mark(&mut self, attr: Attr, set: bool) {
        self.given = true;
        let (to, from) = match set {
            true => (&mut self.set, &mut self.cleared),
            false => (&mut self.cleared, &mut self.set),
        };
        (*to, *from) = (*to | attr, from.without(attr));
    }

    /// For mount_setattr(2) the policies are values of one field, of which 0 is `relatime`.
    fn add_access_for_all(&mut self, attr: Attr, set: bool) {
        let field = if attr == Attr::NODIRATIME { Attr::NODIRATIME } else { Attr::ATIME };
        self.set_all = self.set_all.without(field) | if set { attr } else { Attr::default() };
        self.clear_all = self.clear_all | field;
        if set && attr == Attr::NODIRATIME {
            self.clear_all = self.clear_all.without(field);
        }
    }

    /// Whether it is to be read-only.
    pub(crate) fn read_only(&self) -> bool {
        (self.set | self.set_all).contains(Attr::RDONLY) && !self.cleared.contains(Attr::RDONLY)
    }

    /// The access time policy of a mount that has none yet.
    fn policy(&self) -> Attr {
        let Access { none, strict, none_for_directories, .. } = self.access;
        let directories = if none_for_directories { Attr::NODIRATIME } else { Attr::default() };
        directories
            | match (strict, none) {
                (true, _) => Attr::STRICTATIME,
                (false, true) => Attr::NOATIME,
                (false, false) => Attr::RELATIME,
            }
    }

    /// Whether the access time policy is asked for, and not only words about it taken back.
    fn asks_for_policy(&self) -> bool {
        self.access != Access::default()
    }

    /// All bits of a new filesystem's mount.
    pub(crate) fn of_new(&self) -> Attr {
        let own = self.set.without(Attr::ATIME | Attr::NODIRATIME) | self.policy();
        let inherited = self.set_all.without(self.cleared);
        if self.asks_for_policy() { own | inherited.without(Attr::ATIME) } else { own | inherited }
    }

    /// Bits to set and to clear on a bound mount, whose own are replaced where any word was given.
    pub(crate) fn replacing(&self) -> (Attr, Attr) {
        let set = self.set.without(Attr::ATIME | Attr::NODIRATIME);
        let clear = REPLACED.into_iter().fold(Attr::default(), |all, attr| all | attr).without(set);
        if self.asks_for_policy() {
            (set | self.policy(), clear | Attr::ATIME | Attr::NODIRATIME)
        } else {
            (set, clear)
        }
    }

    /// Bits to set and to clear on a bound mount whose `present` ones are locked, or why that is refused (mount(8) with
    /// `remount`: what is there stays, where nobody wants it away).
    pub(crate) fn keeping(&self, present: Attr) -> Result<(Attr, Attr), String> {
        let refused = Attr::LOCKABLE.iter().filter(|(attr, _)| (present.and(self.cleared)).contains(*attr));
        let refused: Vec<_> = refused.map(|(_, name)| *name).collect();
        if !refused.is_empty() {
            return Err(format!("cannot clear locked flags {}", refused.join(",")));
        }
        let (set, clear) = self.replacing();
        let times = Attr::ATIME | Attr::NODIRATIME;
        if self.asks_for_policy() && set.and(times) != present.and(times) {
            return Err("cannot change locked access time flags".into());
        }
        let locked = present.without(times).without(Attr::NOSYMFOLLOW);
        Ok((set.without(times), clear.without(locked).without(times)))
    }
}

/// A word of one bit, and whether it is set or cleared.
fn bit(word: &str) -> Option<(Attr, bool)> {
    Some(match word {
        "ro" => (Attr::RDONLY, true),
        "rw" => (Attr::RDONLY, false),
        "nosuid" => (Attr::NOSUID, true),
        "suid" => (Attr::NOSUID, false),
        "nodev" => (Attr::NODEV, true),
        "dev" => (Attr::NODEV, false),
        "noexec" => (Attr::NOEXEC, true),
        "exec" => (Attr::NOEXEC, false),
        "nosymfollow" => (Attr::NOSYMFOLLOW, true),
        "symfollow" => (Attr::NOSYMFOLLOW, false),
        _ => return None,
    })
}

/// A word about access times.
fn access(word: &str) -> Option<(Attr, bool)> {
    Some(match word {
        "noatime" => (Attr::NOATIME, true),
        "atime" => (Attr::NOATIME, false),
        "nodiratime" => (Attr::NODIRATIME, true),
        "diratime" => (Attr::NODIRATIME, false),
        "relatime" => (Attr::RELATIME, true),
        "norelatime" => (Attr::RELATIME, false),
        "strictatime" => (Attr::STRICTATIME, true),
        "nostrictatime" => (Attr::STRICTATIME, false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
