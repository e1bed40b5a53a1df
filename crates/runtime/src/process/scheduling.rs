//! When a process runs: scheduling policy and I/O priority, set from outside as the resource limits are, since a user
//! namespace has no right to raise them.

use crate::error::invalid;
use rustix::io::Errno;
use sampan_sys::scheduling::{Attributes, set_attributes, set_io_priority};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{IoPriority, Scheduler},
};

/// What is to be set, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scheduling {
    attributes: Option<Attributes>,
    /// Class and level.
    io: Option<(u16, u16)>,
}

impl Scheduling {
    /// Reads both; refuses words that the kernel does not have and values that the policy does not take.
    pub(crate) fn parse(scheduler: Option<&Scheduler>, io: Option<&IoPriority>) -> Result<Self> {
        Ok(Self { attributes: scheduler.map(attributes).transpose()?, io: io.map(io_priority).transpose()? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.attributes.is_none() && self.io.is_none()
    }

    /// Sets both for a process. `cpuset` says that its control group names processors.
    pub(crate) fn apply(&self, pid: i32, cpuset: bool) -> Result<()> {
        if let Some(attributes) = &self.attributes {
            set_attributes(pid, attributes).map_err(|error| explain(error, cpuset))?;
        }
        if let Some((class, level)) = self.io {
            set_io_priority(pid, class, level).map_err(|error| Error::io("cannot set ioPriority", error))?;
        }
        Ok(())
    }
}

fn explain(error: std::io::Error, cpuset: bool) -> Error {
    // A deadline is promised for all processors or for none.
    if Errno::from_io_error(&error) == Some(Errno::PERM) && cpuset {
        return Error::new(
            ErrorKind::PermissionDenied,
            "process scheduler can't be used together with AllowedCPUs",
        )
        .because(error)
        .hint("remove linux.resources.cpu.cpus, or process.scheduler");
    }
    let error = Error::io("cannot set the scheduler", error);
    match error.kind() {
        ErrorKind::PermissionDenied => error.hint(
            "it needs CAP_SYS_NICE on the host; SCHED_FIFO and SCHED_RR also linux.resources.cpu.realtimeRuntime",
        ),
        _ => error,
    }
}

fn attributes(scheduler: &Scheduler) -> Result<Attributes> {
    let refuse = |why: String| Err(invalid("invalid process.scheduler", why));
    let policy = scheduler.policy.as_str();
    // linux/sched.h
    let number = match policy {
        "SCHED_OTHER" => 0,
        "SCHED_FIFO" => 1,
        "SCHED_RR" => 2,
        "SCHED_BATCH" => 3,
        "SCHED_ISO" => 4,
        "SCHED_IDLE" => 5,
        "SCHED_DEADLINE" => 6,
        "" => return refuse("it names no policy".into()),
        _ => return refuse(format!("{policy:?} is no policy")),
    };
    if !(-20..=19).contains(&scheduler.nice) {
        return refuse(format!("nice {} is not from -20 to 19", scheduler.nice));
    }
    if scheduler.priority != 0 && !matches!(policy, "SCHED_FIFO" | "SCHED_RR") {
        return refuse(format!("a priority is for SCHED_FIFO and SCHED_RR, not for {policy}"));
    }
    let times = [scheduler.runtime, scheduler.deadline, scheduler.period];
    if times != [0; 3] && policy != "SCHED_DEADLINE" {
        return refuse(format!("runtime, deadline and period are for SCHED_DEADLINE, not for {policy}"));
    }
    let Ok(priority) = u32::try_from(scheduler.priority) else {
        return refuse(format!("priority {} is negative", scheduler.priority));
    };
    let flags = scheduler.flags.iter().try_fold(0, |flags, word| match flag(word) {
        Some(flag) => Ok(flags | flag),
        None => Err(invalid("invalid process.scheduler", format!("{word:?} is no flag"))),
    })?;
    Ok(Attributes {
        policy: number,
        flags,
        nice: scheduler.nice,
        priority,
        runtime: scheduler.runtime,
        deadline: scheduler.deadline,
        period: scheduler.period,
    })
}

/// linux/sched.h
fn flag(word: &str) -> Option<u64> {
    Some(match word {
        "SCHED_FLAG_RESET_ON_FORK" => 0x01,
        "SCHED_FLAG_RECLAIM" => 0x02,
        "SCHED_FLAG_DL_OVERRUN" => 0x04,
        "SCHED_FLAG_KEEP_POLICY" => 0x08,
        "SCHED_FLAG_KEEP_PARAMS" => 0x10,
        "SCHED_FLAG_UTIL_CLAMP_MIN" => 0x20,
        "SCHED_FLAG_UTIL_CLAMP_MAX" => 0x40,
        _ => return None,
    })
}

fn io_priority(priority: &IoPriority) -> Result<(u16, u16)> {
    // linux/ioprio.h
    let class = match priority.class.as_str() {
        "IOPRIO_CLASS_RT" => 1,
        "IOPRIO_CLASS_BE" => 2,
        "IOPRIO_CLASS_IDLE" => 3,
        class => return Err(invalid("invalid process.ioPriority", format!("{class:?} is no class"))),
    };
    match u16::try_from(priority.priority) {
        Ok(level @ 0..=7) => Ok((class, level)),
        _ => {
            let why = format!("priority {} is not from 0 to 7", priority.priority);
            Err(invalid("invalid process.ioPriority", why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_numbers() {
        let scheduler = Scheduler {
            policy: "SCHED_DEADLINE".into(),
            flags: vec!["SCHED_FLAG_RESET_ON_FORK".into(), "SCHED_FLAG_DL_OVERRUN".into()],
            runtime: 1,
            deadline: 2,
            period: 3,
            ..Scheduler::default()
        };
        let io = IoPriority { class: "IOPRIO_CLASS_IDLE".into(), priority: 7 };
        let parsed = Scheduling::parse(Some(&scheduler), Some(&io)).unwrap();
        let attributes = parsed.attributes.unwrap();
        assert_eq!((attributes.policy, attributes.flags, attributes.period), (6, 5, 3));
        assert_eq!(parsed.io, Some((3, 7)));
        assert!(Scheduling::parse(None, None).unwrap().is_empty());
    }

    #[test]
    fn what_a_policy_does_not_take_is_refused() {
        let base = |policy: &str| Scheduler { policy: policy.into(), ..Scheduler::default() };
        for (scheduler, why) in [
            (base(""), "it names no policy"),
            (base("SCHED_FUN"), "\"SCHED_FUN\" is no policy"),
            (Scheduler { nice: 20, ..base("SCHED_OTHER") }, "nice 20 is not from -20 to 19"),
            (
                Scheduler { priority: 1, ..base("SCHED_BATCH") },
                "a priority is for SCHED_FIFO and SCHED_RR, not for SCHED_BATCH",
            ),
            (
                Scheduler { period: 1, ..base("SCHED_RR") },
                "runtime, deadline and period are for SCHED_DEADLINE, not for SCHED_RR",
            ),
            (Scheduler { priority: -1, ..base("SCHED_RR") }, "priority -1 is negative"),
            (Scheduler { flags: vec!["X".into()], ..base("SCHED_RR") }, "\"X\" is no flag"),
        ] {
            assert_eq!(attributes(&scheduler).unwrap_err().causes(), [why]);
        }
        let io = |class: &str, priority| IoPriority { class: class.into(), priority };
        assert_eq!(io_priority(&io("BE", 0)).unwrap_err().causes(), ["\"BE\" is no class"]);
        let error = io_priority(&io("IOPRIO_CLASS_BE", 8)).unwrap_err();
        assert_eq!(error.causes(), ["priority 8 is not from 0 to 7"]);
    }

    #[test]
    fn a_refusal_with_a_cpuset_says_what_excludes_what() {
        let refused = || std::io::Error::from(Errno::PERM);
        assert_eq!(
            explain(refused(), true).to_string(),
            "process scheduler can't be used together with AllowedCPUs"
        );
        assert_eq!(explain(refused(), false).to_string(), "cannot set the scheduler");
    }
}
