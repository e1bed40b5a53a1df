//! The last steps from a child in its namespaces to the program: who it is, what it may do, what it becomes.

pub(crate) mod affinity;
pub(crate) mod capabilities;
pub(crate) mod labels;
pub(crate) mod memory_policy;
pub(crate) mod program;
pub(crate) mod rlimits;
pub(crate) mod scheduling;
pub(crate) mod stdio;

mod numbers;

use crate::{
    error::{Cannot, invalid},
    seccomp::Filter,
    sync::Channel,
};
use capabilities::Sets;
use labels::Prepared;
use memory_policy::MemoryPolicy;
use program::Program;
use rustix::{
    fs::Mode,
    io::Errno,
    process::{DumpableBehavior, Gid, Signal, Uid},
    thread,
};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{ExecCpuAffinity, IoPriority, Process, Rlimit, Scheduler},
};
use std::ffi::CString;

/// The mask that a process has where the specification names none.
const UMASK: u32 = 0o022;

/// What the child's last steps need, prepared before it is cloned.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) process: &'a Process,
    pub(crate) rlimits: &'a [Rlimit],
    pub(crate) sets: Sets,
    pub(crate) filter: Option<&'a Filter>,
    pub(crate) personality: Option<u32>,
    pub(crate) memory: Option<&'a MemoryPolicy>,
    pub(crate) die_with_parent: bool,
}

impl Plan<'_> {
    /// Whether init is under its filter already when it is created: who answers for it is told then.
    pub(crate) fn is_confined_early(&self) -> bool {
        self.filter.is_some_and(Filter::notifies)
    }
}

/// What of a container's process other processes in it have too, unless they say otherwise.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inherited {
    pub(crate) apparmor_profile: Option<String>,
    pub(crate) selinux_label: Option<String>,
    pub(crate) scheduler: Option<Scheduler>,
    pub(crate) io_priority: Option<IoPriority>,
    pub(crate) exec_cpu_affinity: Option<ExecCpuAffinity>,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) rlimits: Vec<Rlimit>,
}

impl Inherited {
    pub(crate) fn of(process: Option<&Process>) -> Self {
        let Some(process) = process else { return Self::default() };
        Self {
            apparmor_profile: process.apparmor_profile.clone(),
            selinux_label: process.selinux_label.clone(),
            scheduler: process.scheduler.clone(),
            io_priority: process.io_priority.clone(),
            exec_cpu_affinity: process.exec_cpu_affinity.clone(),
            oom_score_adj: process.oom_score_adj,
            rlimits: process.rlimits.clone(),
        }
    }
}

/// Enters the working directory, which is created where it is missing, becomes the user, with no more rights than it is to
/// have, and finds the program. `labels` are set for the next `execve`.
///
/// Where a filter will need it, one right stays until [`confine`] has loaded that.
pub(crate) fn become_user(plan: &Plan<'_>, labels: Prepared) -> Result<Program> {
    let process = plan.process;
    if let Some(domain) = plan.personality {
        sampan_sys::exec::set_personality(domain).cannot(|| "set the personality".into())?;
    }
    plan.memory.map_or(Ok(()), MemoryPolicy::apply)?;
    let cwd = if process.cwd.is_empty() { "/" } else { process.cwd.as_str() };
    if !cwd.starts_with('/') {
        return Err(invalid(format!("invalid working directory {cwd:?}"), "it must be absolute"));
    }
    if rustix::process::chdir(cwd) == Err(Errno::NOENT) {
        std::fs::create_dir_all(cwd).cannot(|| format!("create the working directory {cwd}"))?;
    }
    // Some directories only root may enter, others only the user: see below.
    let entered = rustix::process::chdir(cwd);
    // With root's rights, for the home directory that only /etc/passwd knows.
    let env = program::environment(process)?;
    rustix::process::umask(Mode::from_raw_mode(process.user.umask.unwrap_or(UMASK)));
    plan.sets.drop_bounding()?;
    thread::set_keep_capabilities(true).cannot(|| "keep capabilities".into())?;
    set_ids(process)?;
    thread::set_keep_capabilities(false).cannot(|| "release capabilities".into())?;
    if entered.is_err() {
        rustix::process::chdir(cwd).map_err(|errno| match errno {
            Errno::NOTDIR => {
                invalid(format!("cannot enter the working directory {cwd}"), "it is not a directory")
            }
            errno => Error::io(format!("cannot enter the working directory {cwd}"), errno.into()),
        })?;
    }
    refuse_outside(cwd)?;
    labels.apply()?;
    if process.no_new_privileges {
        thread::set_no_new_privs(true).cannot(|| "forbid new privileges".into())?;
    }
    plan.sets.apply(needs_right_to_filter(plan))?;
    // Again: the kernel forgets it when the ids change.
    follow_runtime()?;
    Program::find(process, &env)
}

/// Without `no_new_privileges` a filter is only loaded by who has a right over its user namespace.
fn needs_right_to_filter(plan: &Plan<'_>) -> bool {
    plan.filter.is_some() && !plan.process.no_new_privileges
}

/// Has the kernel kill the calling process as soon as the runtime ends: a child whose runtime is gone would wait for
/// its next message for ever. [`confine`] ends this where the container is to outlive the runtime.
pub(crate) fn follow_runtime() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .cannot(|| "follow the runtime's end".into())
}

/// Hides the calling process, which still holds what the runtime has open and in memory, from those in namespaces that it
/// joins.
pub(crate) fn hide() -> Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .cannot(|| "guard the process".into())
}

/// Gives the calling process the session keyring that all processes of a container share.
pub(crate) fn join_keyring(id: &str) -> Result<()> {
    let name = CString::new(format!("_ses.{id}")).cannot(|| "name the session keyring".into())?;
    match sampan_sys::keyring::join_session(&name).map_err(|error| Errno::from_io_error(&error)) {
        // A kernel without keys has none to share.
        Ok(()) | Err(Some(Errno::NOSYS)) => Ok(()),
        Err(errno) => Err(errno.unwrap_or(Errno::IO)).cannot(|| "join a session keyring".into()),
    }
}

/// Undoes [`follow_runtime`].
pub(crate) fn outlive_runtime() -> Result<()> {
    rustix::process::set_parent_process_death_signal(None).cannot(|| "outlive the runtime".into())
}

/// The working directory must be inside the root: through a leaked descriptor of the host's it could be elsewhere
/// (CVE-2024-21626). The kernel then says `(unreachable)`.
fn refuse_outside(cwd: &str) -> Result<()> {
    match rustix::process::getcwd(Vec::new()) {
        Ok(path) if path.to_bytes().starts_with(b"/") => Ok(()),
        // What has no path from this root is not found (getcwd(2)).
        Err(errno) if errno != Errno::NOENT => Err(errno).cannot(|| format!("look where {cwd} is")),
        _ => {
            Err(Error::new(ErrorKind::PermissionDenied, format!("cannot enter the working directory {cwd}"))
                .because("it is outside of the container's root filesystem"))
        }
    }
}

fn set_ids(process: &Process) -> Result<()> {
    let user = &process.user;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<_> = user.additional_gids.iter().map(|gid| Gid::from_raw(*gid)).collect();
    match thread::set_thread_groups(&groups) {
        // A user namespace that an ordinary user has made may not change groups; there are none to drop.
        Err(Errno::PERM) if groups.is_empty() => {}
        Err(Errno::PERM) => {
            let what = format!("cannot set the supplementary groups {:?}", user.additional_gids);
            return Err(Error::io(what, Errno::PERM.into()).hint(
                "a user namespace of an ordinary user's has none; leave out process.user.additionalGids",
            ));
        }
        result => result.cannot(|| format!("set the supplementary groups {:?}", user.additional_gids))?,
    }
    let unmapped = |kind, id| {
        move |errno| {
            let error = Error::io(format!("cannot become {kind} {id}"), std::io::Error::from(errno));
            if errno == Errno::INVAL {
                error.hint("it is outside of the container's range of ids")
            } else {
                error
            }
        }
    };
    thread::set_thread_res_gid(gid, gid, gid).map_err(unmapped("group", user.gid))?;
    thread::set_thread_res_uid(uid, uid, uid).map_err(unmapped("user", user.uid))
}

/// The very last steps but hooks and program: limits that would be in the runtime's way, and the filter. Only the kernel
/// calls after it must be allowed by it, which is `execve`, and `capset` where the filter needed a right that goes.
/// `starter` hears of a filter that another process answers for.
pub(crate) fn confine(plan: &Plan<'_>, starter: &Channel) -> Result<()> {
    if !plan.die_with_parent {
        outlive_runtime()?;
    }
    rlimits::apply(plan.rlimits)?;
    let Some(filter) = plan.filter else { return Ok(()) };
    if filter.notifies() {
        let announced = starter.announce()?;
        let listener = filter.load()?;
        announced.tell(starter, listener)?;
    } else {
        filter.load()?;
    }
    if needs_right_to_filter(plan) { plan.sets.settle() } else { Ok(()) }
}
