//! Resource limits (getrlimit(2)). A ceiling is raised from outside, since that is a right of the host's; all else the process
//! does itself, last of all: some limits would keep the runtime from its work.

use crate::error::{Cannot, invalid};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use sampan_types::{Error, ErrorKind, Result, spec};

/// Raises a process's ceilings to those that are higher than the caller's, which it was born with.
pub(crate) fn raise(pid: i32, limits: &[spec::Rlimit]) -> Result<()> {
    for limit in limits {
        let resource = resource(limit)?;
        let own = getrlimit(resource);
        let wanted = value(limit.hard);
        if own.maximum.is_none_or(|own| wanted.is_some_and(|wanted| wanted <= own)) {
            continue;
        }
        let new = Rlimit { current: own.current, maximum: wanted };
        prlimit(Pid::from_raw(pid), resource, new).map_err(|errno| {
            let error = Error::io(
                format!("cannot set {} to {}:{}", limit.kind, limit.soft, limit.hard),
                errno.into(),
            );
            match error.kind() {
                ErrorKind::PermissionDenied => {
                    error.hint("raising a hard limit needs CAP_SYS_RESOURCE on the host; ask for less")
                }
                _ => error,
            }
        })?;
    }
    Ok(())
}

/// Sets the calling process's limits.
pub(crate) fn apply(limits: &[spec::Rlimit]) -> Result<()> {
    for limit in limits {
        let new = Rlimit { current: value(limit.soft), maximum: value(limit.hard) };
        setrlimit(resource(limit)?, new)
            .cannot(|| format!("set {} to {}:{}", limit.kind, limit.soft, limit.hard))?;
    }
    Ok(())
}

fn value(value: u64) -> Option<u64> {
    (value != u64::MAX).then_some(value)
}

/// Refuses names the kernel does not have, and a limit named twice.
pub(crate) fn check(limits: &[spec::Rlimit]) -> Result<()> {
    for (index, limit) in limits.iter().enumerate() {
        resource(limit)?;
        if limits[..index].iter().any(|earlier| earlier.kind == limit.kind) {
            return Err(invalid(format!("invalid resource limit {:?}", limit.kind), "it is named twice"));
        }
    }
    Ok(())
}

fn resource(limit: &spec::Rlimit) -> Result<Resource> {
    Ok(match limit.kind.as_str() {
        "RLIMIT_CPU" => Resource::Cpu,
        "RLIMIT_FSIZE" => Resource::Fsize,
        "RLIMIT_DATA" => Resource::Data,
        "RLIMIT_STACK" => Resource::Stack,
        "RLIMIT_CORE" => Resource::Core,
        "RLIMIT_RSS" => Resource::Rss,
        "RLIMIT_NPROC" => Resource::Nproc,
        "RLIMIT_NOFILE" => Resource::Nofile,
        "RLIMIT_MEMLOCK" => Resource::Memlock,
        "RLIMIT_AS" => Resource::As,
        "RLIMIT_LOCKS" => Resource::Locks,
        "RLIMIT_SIGPENDING" => Resource::Sigpending,
        "RLIMIT_MSGQUEUE" => Resource::Msgqueue,
        "RLIMIT_NICE" => Resource::Nice,
        "RLIMIT_RTPRIO" => Resource::Rtprio,
        "RLIMIT_RTTIME" => Resource::Rttime,
        kind => {
            return Err(invalid(
                format!("invalid resource limit {kind:?}"),
                "the kernel has none of this name",
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_doubled_names_are_refused() {
        let limit = |kind: &str| spec::Rlimit { kind: kind.into(), hard: 1, soft: 1 };
        assert_eq!(
            check(&[limit("RLIMIT_FUN")]).unwrap_err().to_string(),
            "invalid resource limit \"RLIMIT_FUN\""
        );
        let twice = check(&[limit("RLIMIT_CORE"), limit("RLIMIT_CORE")]).unwrap_err();
        assert_eq!(twice.causes(), ["it is named twice"]);
        check(&[limit("RLIMIT_CORE"), limit("RLIMIT_AS")]).unwrap();
    }
}
