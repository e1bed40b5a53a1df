//! The last steps from a child in its namespaces to the program: who it is, what it may do, what it becomes.

pub(crate) mod capabilities;
pub(crate) mod program;
pub(crate) mod rlimits;
pub(crate) mod stdio;

use crate::{
    error::{Cannot, invalid},
    seccomp::Filter,
};
use capabilities::Sets;
use program::Program;
use rustix::{
    fs::Mode,
    io::Errno,
    process::{Gid, Signal, Uid},
    thread,
};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{Linux, Process},
};

/// The mask that a process has where the specification names none.
const UMASK: u32 = 0o022;

/// What the child's last steps need, prepared before it is cloned.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) process: &'a Process,
    pub(crate) sets: Sets,
    pub(crate) filter: Option<&'a Filter>,
    pub(crate) die_with_parent: bool,
}

/// Words of the specification that this runtime does not follow yet are refused, never passed over: who asked for them
/// relies on them.
pub(crate) fn refuse_unsupported(process: &Process, linux: &Linux) -> Result<()> {
    let some = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let found = [
        ("process.apparmorProfile", some(&process.apparmor_profile)),
        ("process.selinuxLabel", some(&process.selinux_label)),
        ("process.scheduler", process.scheduler.is_some()),
        ("process.ioPriority", process.io_priority.is_some()),
        ("process.execCPUAffinity", process.exec_cpu_affinity.is_some()),
        ("linux.intelRdt", linux.intel_rdt.is_some()),
        ("linux.memoryPolicy", linux.memory_policy.is_some()),
        ("linux.netDevices", !linux.net_devices.is_empty()),
        ("linux.timeOffsets", !linux.time_offsets.is_empty()),
    ];
    match found.into_iter().find(|(_, present)| *present) {
        Some((name, _)) => {
            Err(Error::new(ErrorKind::Unsupported, format!("cannot follow {name} of the specification"))
                .because("this runtime does not support it")
                .hint(format!("remove {name}")))
        }
        None => Ok(()),
    }
}

/// Enters the working directory, which is created where it is missing, finds the program, and becomes the user: mask,
/// bounding set, groups, ids. Capabilities stay permitted; [`confine`] takes them away.
pub(crate) fn become_user(plan: &Plan<'_>) -> Result<Program> {
    let process = plan.process;
    let cwd = if process.cwd.is_empty() { "/" } else { process.cwd.as_str() };
    if !cwd.starts_with('/') {
        return Err(invalid(format!("invalid working directory {cwd:?}"), "it must be absolute"));
    }
    if rustix::process::chdir(cwd) == Err(Errno::NOENT) {
        std::fs::create_dir_all(cwd).cannot(|| format!("create the working directory {cwd}"))?;
    }
    // Some directories only root may enter, others only the user: see below.
    let entered = rustix::process::chdir(cwd);
    // With root's rights: the user's may come from capabilities that only `execve` gives.
    let program = Program::find(process)?;
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
    // Again: the kernel forgets it when the ids change.
    follow_runtime()?;
    Ok(program)
}

/// Has the kernel kill the calling process as soon as the runtime ends: a child whose runtime is gone would wait for
/// its next message for ever. [`confine`] ends this where the container is to outlive the runtime.
pub(crate) fn follow_runtime() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .cannot(|| "follow the runtime's end".into())
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

/// Takes away all rights that the program is not to have, and loads its filter. The filter comes last: only the kernel
/// calls after it must be allowed by it, which is `execve`, and `capset` where the filter needed a right that goes.
pub(crate) fn confine(plan: &Plan<'_>) -> Result<()> {
    let process = plan.process;
    if process.no_new_privileges {
        thread::set_no_new_privs(true).cannot(|| "forbid new privileges".into())?;
    }
    let filter = plan.filter;
    let with_right_to_filter = filter.is_some() && !process.no_new_privileges;
    plan.sets.apply(with_right_to_filter)?;
    if !plan.die_with_parent {
        outlive_runtime()?;
    }
    if let Some(filter) = filter {
        filter.load()?;
        if with_right_to_filter {
            plan.sets.settle()?;
        }
    }
    Ok(())
}
