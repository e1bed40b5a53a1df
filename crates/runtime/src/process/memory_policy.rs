//! NUMA memory policy (set_mempolicy(2)).

use super::numbers;
use crate::error::{Cannot, invalid};
use sampan_types::{
    Result,
    spec::{self, Linux},
};

/// What is to be set, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemoryPolicy {
    mode: i32,
    nodes: Vec<u64>,
}

impl MemoryPolicy {
    /// The specification's, where it has one.
    pub(crate) fn of(linux: &Linux) -> Result<Option<Self>> {
        linux.memory_policy.as_ref().map(Self::parse).transpose()
    }

    fn parse(policy: &spec::MemoryPolicy) -> Result<Self> {
        // linux/mempolicy.h
        let mode = match policy.mode.as_str() {
            "MPOL_DEFAULT" => 0,
            "MPOL_PREFERRED" => 1,
            "MPOL_BIND" => 2,
            "MPOL_INTERLEAVE" => 3,
            "MPOL_LOCAL" => 4,
            "MPOL_PREFERRED_MANY" => 5,
            "MPOL_WEIGHTED_INTERLEAVE" => 6,
            mode => {
                return Err(invalid(
                    format!("invalid memory policy mode {mode:?}"),
                    "the kernel has none of this name",
                ));
            }
        };
        let mode = policy.flags.iter().try_fold(mode, |mode, word| match word.as_str() {
            "MPOL_F_STATIC_NODES" => Ok(mode | 1 << 15),
            "MPOL_F_RELATIVE_NODES" => Ok(mode | 1 << 14),
            "MPOL_F_NUMA_BALANCING" => Ok(mode | 1 << 13),
            word => Err(invalid(
                format!("invalid memory policy flag {word:?}"),
                "the kernel has none of this name",
            )),
        })?;
        let nodes = numbers::parse(&policy.nodes)
            .map_err(|why| invalid(format!("invalid memory policy node {:?}", policy.nodes), why))?;
        Ok(Self { mode, nodes })
    }

    /// Sets it for the calling process and what it runs.
    pub(crate) fn apply(&self) -> Result<()> {
        sampan_sys::scheduling::set_memory_policy(self.mode, &self.nodes)
            .cannot(|| "set the memory policy".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_numbers_and_others_are_refused() {
        let policy = |mode: &str, nodes: &str, flags: &[&str]| {
            MemoryPolicy::parse(&spec::MemoryPolicy {
                mode: mode.into(),
                nodes: nodes.into(),
                flags: flags.iter().map(|&flag| flag.into()).collect(),
            })
        };
        let parsed = policy("MPOL_BIND", "0,2", &["MPOL_F_STATIC_NODES"]).unwrap();
        assert_eq!(parsed, MemoryPolicy { mode: 0x8002, nodes: vec![5] });
        let text = |result: Result<MemoryPolicy>| result.unwrap_err().to_string();
        assert_eq!(text(policy("BIND", "0", &[])), "invalid memory policy mode \"BIND\"");
        assert_eq!(text(policy("MPOL_BIND", "0", &["F"])), "invalid memory policy flag \"F\"");
        assert_eq!(text(policy("MPOL_BIND", "a", &[])), "invalid memory policy node \"a\"");
    }
}
