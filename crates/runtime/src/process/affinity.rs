//! Which processors a process may use.

use super::numbers;
use crate::error::{Cannot, invalid};
use sampan_sys::scheduling::set_processors;
use sampan_types::{Result, spec::ExecCpuAffinity};

/// As many processors as any kernel is built for.
const ALL: [u64; 128] = [u64::MAX; 128];

/// The processors of an exec on its way into the container and in it, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Affinity {
    initial: Option<Vec<u64>>,
    last: Option<Vec<u64>>,
}

impl Affinity {
    pub(crate) fn parse(affinity: Option<&ExecCpuAffinity>) -> Result<Self> {
        let Some(affinity) = affinity else { return Ok(Self::default()) };
        let list = |name: &str, list: &Option<String>| match list.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => numbers::parse(text)
                .and_then(|bits| if bits.is_empty() { Err("it names none".into()) } else { Ok(Some(bits)) })
                .map_err(|why| invalid(format!("invalid execCPUAffinity.{name} {text:?}"), why)),
        };
        Ok(Self { initial: list("initial", &affinity.initial)?, last: list("final", &affinity.last)? })
    }

    /// Whether the process is to be somewhere else until it is in the control group.
    pub(crate) fn has_initial(&self) -> bool {
        self.initial.is_some()
    }

    /// Moves the calling process, before it enters the control group.
    pub(crate) fn apply_initial(&self) -> Result<()> {
        match &self.initial {
            Some(bits) => set_processors(0, bits).cannot(|| "set execCPUAffinity.initial".into()),
            None => Ok(()),
        }
    }

    /// Moves the calling process, which is in the control group: to the last processors asked for, else, unless the
    /// first ones are to stay, to all that the group has.
    pub(crate) fn apply_final(&self) -> Result<()> {
        match &self.last {
            Some(bits) => set_processors(0, bits).cannot(|| "set execCPUAffinity.final".into()),
            None if self.initial.is_some() => Ok(()),
            None => {
                reset();
                Ok(())
            }
        }
    }
}

/// Gives the calling process all processors of its control group, whatever the caller was bound to (taskset(1)): the
/// kernel takes what the group does not have out of what is asked for.
pub(crate) fn reset() {
    // Where it cannot be, the caller's processors are as good as any.
    let _ = set_processors(0, &ALL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_refused_by_their_names() {
        let affinity = |initial: &str, last: &str| ExecCpuAffinity {
            initial: Some(initial.into()),
            last: Some(last.into()),
        };
        let parsed = Affinity::parse(Some(&affinity("0", "0-1"))).unwrap();
        assert_eq!(parsed, Affinity { initial: Some(vec![1]), last: Some(vec![3]) });
        assert_eq!(Affinity::parse(Some(&affinity("", ""))).unwrap(), Affinity::default());
        let error = Affinity::parse(Some(&affinity("", "1-"))).unwrap_err();
        assert_eq!(
            format!("{error:?}"),
            "InvalidInput: invalid execCPUAffinity.final \"1-\": \"\" is no number"
        );
        let error = Affinity::parse(Some(&affinity(",", ""))).unwrap_err();
        assert_eq!(error.causes(), ["it names none"]);
    }
}
