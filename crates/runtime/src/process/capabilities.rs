//! Capability sets (capabilities(7)).

use crate::error::Cannot;
use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, clear_ambient_capability_set, configure_capability_in_ambient_set,
        remove_capability_from_bounding_set, set_capabilities,
    },
};
use sampan_types::{Result, spec::Capabilities};

/// Names of capabilities, without `CAP_`, in the order of their numbers (linux/capability.h).
pub const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The five sets of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sets {
    bounding: CapabilitySet,
    effective: CapabilitySet,
    permitted: CapabilitySet,
    inheritable: CapabilitySet,
    ambient: CapabilitySet,
}

impl Sets {
    /// Reads names; unknown ones are passed over with a warning. Absent sets are empty.
    pub(crate) fn parse(capabilities: Option<&Capabilities>, warnings: &mut Vec<String>) -> Self {
        let none = Capabilities::default();
        let capabilities = capabilities.unwrap_or(&none);
        let mut set = |names: &[String]| {
            names.iter().fold(CapabilitySet::empty(), |set, name| match number(name) {
                Some(number) => set | bit(number),
                None => {
                    let warning = format!("unknown capability {name:?} is ignored");
                    if !warnings.contains(&warning) {
                        warnings.push(warning);
                    }
                    set
                }
            })
        };
        Self {
            bounding: set(&capabilities.bounding),
            effective: set(&capabilities.effective),
            permitted: set(&capabilities.permitted),
            inheritable: set(&capabilities.inheritable),
            ambient: set(&capabilities.ambient),
        }
        .explained(warnings)
    }

    /// What is to be ambient must be permitted and inheritable too; the kernel would refuse it.
    fn explained(mut self, warnings: &mut Vec<String>) -> Self {
        let possible = self.permitted & self.inheritable;
        for (number, name) in NAMES.iter().enumerate() {
            if (self.ambient - possible).contains(bit(number as u32)) {
                warnings.push(format!(
                    "can't raise ambient capability CAP_{name}: it is not both permitted and inheritable"
                ));
            }
        }
        self.ambient &= possible;
        self
    }

    /// Takes what is not in the bounding set out of it, up to the last capability this kernel has.
    pub(crate) fn drop_bounding(&self) -> Result<()> {
        for number in 0..64 {
            if self.bounding.contains(bit(number)) {
                continue;
            }
            match remove_capability_from_bounding_set(bit(number)) {
                Ok(()) => {}
                Err(Errno::INVAL) => break,
                Err(errno) => {
                    let name = NAMES.get(number as usize).copied().unwrap_or_default();
                    return Err(errno).cannot(|| format!("take CAP_{name} out of the bounding set"));
                }
            }
        }
        Ok(())
    }

    /// Sets the other four. `with_right_to_filter` keeps, until [`Self::settle`], the right to load a filter.
    pub(crate) fn apply(&self, with_right_to_filter: bool) -> Result<()> {
        let extra = if with_right_to_filter { CapabilitySet::SYS_ADMIN } else { CapabilitySet::empty() };
        self.set(extra)?;
        clear_ambient_capability_set().cannot(|| "clear the ambient capabilities".into())?;
        for number in (0..64).filter(|number| self.ambient.contains(bit(*number))) {
            configure_capability_in_ambient_set(bit(number), true)
                .cannot(|| format!("raise the ambient capability CAP_{}", NAMES[number as usize]))?;
        }
        Ok(())
    }

    /// Gives up the right that loading a filter needed.
    pub(crate) fn settle(&self) -> Result<()> {
        self.set(CapabilitySet::empty())
    }

    fn set(&self, extra: CapabilitySet) -> Result<()> {
        let sets = CapabilitySets {
            effective: self.effective | extra,
            permitted: self.permitted | extra,
            inheritable: self.inheritable,
        };
        set_capabilities(None, sets).cannot(|| "set capabilities".into())
    }
}

fn bit(number: u32) -> CapabilitySet {
    CapabilitySet::from_bits_retain(1 << number)
}

fn number(name: &str) -> Option<u32> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    NAMES.iter().position(|own| *own == name).map(|position| position as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.into()).collect()
    }

    #[test]
    fn numbers_are_the_kernel_s() {
        assert_eq!(number("CAP_CHOWN"), Some(0));
        assert_eq!(bit(number("CAP_SYS_ADMIN").unwrap()), CapabilitySet::SYS_ADMIN);
        assert_eq!(bit(number("cap_checkpoint_restore").unwrap()), CapabilitySet::CHECKPOINT_RESTORE);
        assert_eq!(number("CAP_MKNOD").map(bit), Some(CapabilitySet::MKNOD));
    }

    #[test]
    fn what_cannot_be_is_warned_of_once() {
        let capabilities = Capabilities {
            bounding: names(&["CAP_NEW"]),
            effective: names(&["CAP_NEW", "CAP_KILL"]),
            permitted: names(&["CAP_KILL"]),
            ambient: names(&["CAP_KILL"]),
            ..Capabilities::default()
        };
        let mut warnings = Vec::new();
        let sets = Sets::parse(Some(&capabilities), &mut warnings);
        assert_eq!(sets.effective, CapabilitySet::KILL);
        assert!(sets.ambient.is_empty());
        assert_eq!(
            warnings,
            [
                "unknown capability \"CAP_NEW\" is ignored",
                "can't raise ambient capability CAP_KILL: it is not both permitted and inheritable"
            ]
        );
    }
}
