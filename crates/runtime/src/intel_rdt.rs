//! Intel Resource Director Technology: cache and memory bandwidth, through the resctrl filesystem (config-linux.md, "Intel RDT";
//! kernel: filesystems/resctrl.rst).

use crate::error::{Cannot, invalid};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{IntelRdt, Linux},
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What a container has of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RdtRecord {
    /// The group of its class of service, where processes are put.
    group: PathBuf,
    /// Its own monitoring group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    monitoring: Option<PathBuf>,
    /// Whether the class was made for it, and goes with it.
    made: bool,
}

/// A specification's wishes, checked against what this host has.
#[derive(Debug)]
pub(crate) struct Rdt<'a> {
    config: &'a IntelRdt,
    /// Whether the class of service was named: then it may be shared.
    named: bool,
    group: PathBuf,
    monitoring: Option<PathBuf>,
}

impl<'a> Rdt<'a> {
    /// `None` where the specification has no `intelRdt`.
    ///
    /// # Errors
    /// `Unsupported` where the host lacks what is asked for, `InvalidInput` for a name that is no name.
    pub(crate) fn of(linux: &'a Linux, id: &str) -> Result<Option<Self>> {
        let Some(config) = &linux.intel_rdt else { return Ok(None) };
        let mounts =
            fs::read_to_string("/proc/self/mountinfo").cannot(|| "read /proc/self/mountinfo".into())?;
        Self::check(config, id, mount_point(&mounts).as_deref()).map(Some)
    }

    fn check(config: &'a IntelRdt, id: &str, mount: Option<&Path>) -> Result<Self> {
        if let Some(name) = &config.clos_id
            && (matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\n']))
        {
            return Err(invalid(
                format!("invalid intelRdt.closID {name:?}"),
                "it must be the name of a directory",
            ));
        }
        let unsupported = |what: &str, why: &str| {
            Err(Error::new(ErrorKind::Unsupported, format!("{what} is specified in config, but {why}"))
                .because("this host's processor or kernel lacks it, or resctrl is not mounted")
                .hint("mount -t resctrl resctrl /sys/fs/resctrl"))
        };
        let Some(mount) = mount else {
            return unsupported("intelRdt", "Intel RDT is not supported or enabled");
        };
        let has = |resource: &str| mount.join("info").join(resource).exists();
        let given = |schema: &Option<String>| schema.as_ref().is_some_and(|schema| !schema.is_empty());
        if given(&config.l3_cache_schema) && !["L3", "L3CODE", "L3DATA"].into_iter().any(has) {
            return unsupported("intelRdt.l3CacheSchema", "Intel RDT/CAT is not enabled");
        }
        if given(&config.mem_bw_schema) && !has("MB") {
            return unsupported("intelRdt.memBwSchema", "Intel RDT/MBA is not enabled");
        }
        if config.enable_monitoring && !has("L3_MON") {
            return unsupported("intelRdt.enableMonitoring", "Intel RDT/CMT and MBM are not enabled");
        }
        let group = mount.join(config.clos_id.as_deref().unwrap_or(id));
        let monitoring = config.enable_monitoring.then(|| group.join("mon_groups").join(id));
        Ok(Self { config, named: config.clos_id.is_some(), group, monitoring })
    }

    /// Makes the groups where they are missing, writes the schemata, and puts a process into them. Undoes itself on failure.
    pub(crate) fn create(&self, pid: i32) -> Result<RdtRecord> {
        let lines = lines(self.config);
        let there = self.group.exists();
        if !there && self.named && lines.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, format!("cannot use {}", self.group.display()))
                .because("if closID is set without a schema, the class of service must exist"));
        }
        if there && !self.named {
            return Err(Error::new(ErrorKind::Conflict, format!("cannot make {}", self.group.display()))
                .because("it exists: another container of this name uses it"));
        }
        let mut record = RdtRecord { group: self.group.clone(), monitoring: None, made: !there };
        self.fill(there, &lines, &mut record).and_then(|()| record.join(pid)).inspect_err(|_| {
            // The first failure is the one to tell.
            let _ = record.delete();
        })?;
        Ok(record)
    }

    fn fill(&self, there: bool, lines: &[String], record: &mut RdtRecord) -> Result<()> {
        if !there {
            make(&self.group)?;
        }
        write_schemata(&self.group, lines)?;
        if let Some(monitoring) = &self.monitoring {
            make(monitoring)?;
            record.monitoring = Some(monitoring.clone());
        }
        Ok(())
    }
}

/// Lines of `schemata`; `memBwSchema` wins over a bandwidth line in `l3CacheSchema`, as the specification has it.
fn lines(config: &IntelRdt) -> Vec<String> {
    let split = |schema: &Option<String>| {
        let lines = schema.iter().flat_map(|schema| schema.lines());
        lines.map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let (mut lines, bandwidth) = (split(&config.l3_cache_schema), split(&config.mem_bw_schema));
    if !bandwidth.is_empty() {
        lines.retain(|line| !line.starts_with("MB:"));
    }
    lines.extend(bandwidth);
    lines.extend(config.schemata.iter().cloned());
    lines
}

/// Writes all of them at once, or none.
fn write_schemata(group: &Path, lines: &[String]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let path = group.join("schemata");
    let text = lines.join("\n") + "\n";
    fs::write(&path, &text).map_err(|error| {
        // What was wrong with it stands in a file.
        let status =
            group.parent().and_then(|root| fs::read_to_string(root.join("info/last_cmd_status")).ok());
        Error::io(format!("cannot write {text:?} to {}", path.display()), error)
            .hint(status.unwrap_or_default().trim().to_owned())
    })
}

impl RdtRecord {
    /// Changes the schemata that are given.
    pub(crate) fn update(&self, config: &IntelRdt) -> Result<()> {
        write_schemata(&self.group, &lines(config))
    }

    /// Puts a process into the groups.
    pub(crate) fn join(&self, pid: i32) -> Result<()> {
        for group in std::iter::once(&self.group).chain(&self.monitoring) {
            let path = group.join("tasks");
            fs::write(&path, pid.to_string())
                .cannot(|| format!("add process {pid} to {}", path.display()))?;
        }
        Ok(())
    }

    /// Removes what was made; absent is fine.
    pub(crate) fn delete(&self) -> Result<()> {
        for group in self.monitoring.iter().chain(self.made.then_some(&self.group)) {
            match fs::remove_dir(group) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).cannot(|| format!("remove {}", group.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn make(group: &Path) -> Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            Err(Error::new(ErrorKind::Exhausted, format!("cannot make {}", group.display()))
                .because("the processor has no class of service or monitoring id left"))
        }
        made => made.cannot(|| format!("make {}", group.display())),
    }
}

fn mount_point(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        right.starts_with("resctrl ").then(|| left.split(' ').nth(4).map(PathBuf::from))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder like the filesystem: files where groups have them.
    fn resctrl() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in ["info/L3", "info/MB", "info/L3_MON", "shared/mon_groups/box"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
        }
        root
    }

    fn config(clos_id: Option<&str>) -> IntelRdt {
        IntelRdt {
            clos_id: clos_id.map(str::to_owned),
            l3_cache_schema: Some("L3:0=f\nMB:0=10".into()),
            mem_bw_schema: Some("MB:0=70".into()),
            schemata: vec!["L2:0=1".into()],
            ..IntelRdt::default()
        }
    }

    #[test]
    fn a_class_of_its_own_goes_with_the_container() {
        let root = resctrl();
        let config = config(None);
        let record = Rdt::check(&config, "box", Some(root.path())).unwrap().create(7).unwrap();
        let group = root.path().join("box");
        assert_eq!(fs::read_to_string(group.join("schemata")).unwrap(), "L3:0=f\nMB:0=70\nL2:0=1\n");
        assert_eq!(fs::read_to_string(group.join("tasks")).unwrap(), "7");
        let error = Rdt::check(&config, "box", Some(root.path())).unwrap().create(8).unwrap_err();
        assert_eq!(error.causes(), ["it exists: another container of this name uses it"]);
        // The kernel's files go with their directory; these do not.
        fs::remove_file(group.join("schemata")).unwrap();
        fs::remove_file(group.join("tasks")).unwrap();
        record.delete().unwrap();
        record.delete().unwrap();
        assert!(!group.exists());
    }

    #[test]
    fn a_shared_class_stays() {
        let root = resctrl();
        let config = IntelRdt { clos_id: Some("shared".into()), ..IntelRdt::default() };
        let record = Rdt::check(&config, "box", Some(root.path())).unwrap().create(7).unwrap();
        record.delete().unwrap();
        assert!(root.path().join("shared/tasks").exists() && !root.path().join("shared/schemata").exists());
        let missing = IntelRdt { clos_id: Some("none".into()), ..IntelRdt::default() };
        let error = Rdt::check(&missing, "box", Some(root.path())).unwrap().create(7).unwrap_err();
        assert_eq!(error.causes(), ["if closID is set without a schema, the class of service must exist"]);
    }

    #[test]
    fn what_the_host_lacks() {
        let root = tempfile::tempdir().unwrap();
        let text = |config: &IntelRdt, mount| Rdt::check(config, "box", mount).unwrap_err().to_string();
        let none = "intelRdt is specified in config, but Intel RDT is not supported or enabled";
        assert_eq!(text(&IntelRdt::default(), None), none);
        let cache = "intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT is not enabled";
        assert_eq!(text(&config(None), Some(root.path())), cache);
        let bandwidth = IntelRdt { mem_bw_schema: Some("MB:0=1".into()), ..IntelRdt::default() };
        let expected = "intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not enabled";
        assert_eq!(text(&bandwidth, Some(root.path())), expected);
        assert_eq!(text(&config(Some("../x")), None), "invalid intelRdt.closID \"../x\"");
    }

    #[test]
    fn where_it_is_mounted() {
        let text = "1 2 0:3 / /sys rw - sysfs sysfs rw\n4 1 0:5 / /sys/fs/resctrl rw shared:1 - resctrl resctrl rw\n";
        assert_eq!(mount_point(text).as_deref(), Some(Path::new("/sys/fs/resctrl")));
        assert_eq!(mount_point("1 2 0:3 / /sys rw - sysfs sysfs rw\n"), None);
    }
}
