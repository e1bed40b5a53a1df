//! Limits as writes to files, and writing them so that a failure leaves things as they were.

use super::files;
use rustix::io::Errno;
use sampan_types::{Error, ErrorKind, Result, spec::Resources};
use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    /// Whose file it is.
    pub(super) controller: Cow<'static, str>,
    /// The file.
    pub(super) file: Cow<'static, str>,
    /// What is written.
    pub(super) value: String,
    /// Neighbours of one set, other than [`ALONE`], bound each other's values: which may be written first depends on what
    /// is in force, so one that is refused is tried again after the others.
    pub(super) set: u8,
    /// Whether a kernel without the file is a kernel without the thing, so that nothing is to be limited.
    pub(super) optional: bool,
}

/// Not bound to its neighbours.
pub(super) const ALONE: u8 = 0;

impl Limit {
    pub(super) fn new(
        controller: impl Into<Cow<'static, str>>,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
    ) -> Self {
        let (controller, file) = (controller.into(), file.into());
        Self { controller, file, value: value.to_string(), set: ALONE, optional: false }
    }

    pub(super) fn in_set(self, set: u8) -> Self {
        Self { set, ..self }
    }

    pub(super) fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// Which limit is asked for, by the name of its object in the specification; device rules are none.
pub(super) fn asked(resources: &Resources) -> Option<&'static str> {
    let memory = resources.memory.as_ref().is_some_and(|memory| {
        [memory.limit, memory.reservation, memory.swap].iter().flatten().any(|value| *value != 0)
    });
    let cpu = resources.cpu.as_ref().is_some_and(|cpu| {
        let list = |list: &Option<String>| list.as_ref().is_some_and(|list| !list.is_empty());
        let number = cpu.shares.is_some_and(|value| value != 0)
            || cpu.quota.is_some_and(|value| value != 0)
            || cpu.period.is_some_and(|value| value != 0)
            || cpu.idle.is_some();
        number || list(&cpu.cpus) || list(&cpu.mems)
    });
    let io = resources.block_io.as_ref().is_some_and(|io| *io != Default::default());
    [
        (memory, "memory"),
        (cpu, "cpu"),
        (resources.pids.as_ref().is_some_and(|pids| pids.limit.is_some()), "pids"),
        (io, "blkio"),
        (!resources.hugepage_limits.is_empty(), "hugetlb"),
        (!resources.rdma.is_empty(), "rdma"),
        (!resources.unified.is_empty(), "unified"),
    ]
    .into_iter()
    .find_map(|(asked, name)| asked.then_some(name))
}

/// Writes limits one after the other. With `keep_old` a failure takes those written before back; a group that is just being
/// made is removed by its maker instead.
pub(super) fn write_all<'a>(
    limits: &[Limit],
    directory: impl Fn(&Limit) -> Result<&'a Path>,
    keep_old: bool,
) -> Result<()> {
    let mut undo = Vec::new();
    let written = write_sets(limits, directory, keep_old.then_some(&mut undo));
    if written.is_err() {
        for (path, value) in undo.iter().rev() {
            // The first failure is the one to tell; it names the limit that was refused.
            let _ = files::put(path, value);
        }
    }
    written
}

type Undo = Vec<(PathBuf, String)>;

fn write_sets<'a>(
    limits: &[Limit],
    directory: impl Fn(&Limit) -> Result<&'a Path>,
    mut undo: Option<&mut Undo>,
) -> Result<()> {
    let bound = |a: &Limit, b: &Limit| a.set != ALONE && a.set == b.set;
    for set in limits.chunk_by(bound) {
        let mut refused: Vec<&Limit> = set.iter().collect();
        while !refused.is_empty() {
            let (before, mut again) = (refused.len(), Vec::new());
            for limit in refused {
                let path = directory(limit)?.join(&*limit.file);
                let old = undo.is_some().then(|| old_value(&path, &limit.value)).flatten();
                match files::put(&path, &limit.value) {
                    Ok(()) => {
                        if let (Some(undo), Some(old)) = (&mut undo, old) {
                            undo.push((path, old));
                        }
                    }
                    Err(Errno::INVAL) if before > 1 => again.push(limit),
                    Err(Errno::NOENT) if limit.optional => {}
                    Err(errno) => return Err(explain(&path, limit, errno)),
                }
            }
            if again.len() == before {
                let limit = again[0];
                return Err(explain(&directory(limit)?.join(&*limit.file), limit, Errno::INVAL));
            }
            refused = again;
        }
    }
    Ok(())
}

fn explain(path: &Path, limit: &Limit, errno: Errno) -> Error {
    let Limit { controller, file, value, .. } = limit;
    let what = format!("cannot set {file} to {value:?}");
    let directory = path.parent().unwrap_or(path);
    let number =
        |file| files::read_present(directory, file).map_or("unknown".into(), |text| text.trim().to_owned());
    match errno {
        Errno::NOENT if !directory.exists() => Error::new(ErrorKind::NotFound, what)
            .because(format!("the control group {} is gone", directory.display())),
        Errno::NOENT if controller == "hugetlb" => Error::new(ErrorKind::Unsupported, what)
            .because("this host has no huge pages of that size in its control groups"),
        Errno::NOENT => Error::new(ErrorKind::Unsupported, what).because(format!(
            "this host's kernel, or the group above, has no such file of the {controller} controller"
        )),
        // The kernel could not bring its use below the new limit.
        Errno::BUSY if file == "memory.limit_in_bytes" => Error::new(
            ErrorKind::Conflict,
            format!(
                "unable to set memory limit to {value} (current usage: {}, peak usage: {})",
                number("memory.usage_in_bytes"),
                number("memory.max_usage_in_bytes")
            ),
        )
        .because(errno),
        Errno::INVAL if file == "memory.limit_in_bytes" => Error::io(what, errno.into())
            .hint("a memory limit cannot be above the limit of memory and swap together: give both"),
        errno => Error::io(what, errno.into()),
    }
}

/// What has to be written to undo a write of `value`.
fn old_value(path: &Path, value: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let file = path.file_name()?.to_str()?;
    if file == "memory.oom_control" {
        return files::keyed(&text, "oom_kill_disable").map(|value| value.to_string());
    }
    // Files with a line for each device, interface or size have the same first word in both.
    let keyed = file.ends_with("_device")
        || matches!(file, "io.max" | "io.weight" | "io.bfq.weight")
        || matches!(file, "rdma.max" | "net_prio.ifpriomap");
    let Some((key, _)) = value.split_once(' ').filter(|_| keyed) else {
        return Some(text.trim_end().to_owned());
    };
    let line = text.lines().find(|line| line.split(' ').next() == Some(key)).map(str::to_owned);
    Some(line.unwrap_or_else(|| match file {
        "io.max" => format!("{key} rbps=max wbps=max riops=max wiops=max"),
        "io.weight" | "io.bfq.weight" => format!("{key} default"),
        _ => format!("{key} 0"),
    }))
}

/// The line for one RDMA device; what is not given stays.
pub(super) fn rdma(resources: &Resources) -> Result<Vec<Limit>> {
    let mut limits = Vec::new();
    for (device, rdma) in &resources.rdma {
        let part =
            |key: &str, value: Option<u32>| value.map_or(String::new(), |value| format!(" {key}={value}"));
        let parts = part("hca_handle", rdma.hca_handles) + &part("hca_object", rdma.hca_objects);
        if parts.is_empty() || device.is_empty() || device.contains([' ', '\n']) {
            return Err(crate::error::invalid(
                format!("invalid RDMA limit of {device:?}"),
                "it needs the name of a device, and hcaHandles or hcaObjects",
            ));
        }
        limits.push(Limit::new("rdma", "rdma.max", format!("{device}{parts}")));
    }
    Ok(limits)
}

#[cfg(test)]
mod tests;
