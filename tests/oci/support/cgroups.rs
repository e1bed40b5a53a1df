//! Control groups as the host sees them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where control groups are mounted.
const TOP: &str = "/sys/fs/cgroup";

/// Whether the machine has the unified hierarchy only.
pub(crate) fn cgroup_v2() -> bool {
    Path::new(TOP).join("cgroup.controllers").exists()
}

/// The folder of a control group (absolute path in its hierarchy) for a controller: in v1's hierarchy of that controller, or in the
/// unified one. Nothing when v1 has no such controller here.
pub(crate) fn controller(name: &str, cgroup: &str) -> Option<PathBuf> {
    let cgroup = cgroup.trim_start_matches('/');
    if cgroup_v2() {
        return Some(Path::new(TOP).join(cgroup));
    }
    hierarchies()
        .iter()
        .find(|(names, _)| names.iter().any(|own| own == name))
        .map(|(_, path)| path.join(cgroup))
}

/// The path of the control group in which the suite runs, for a controller of v1, or in the unified hierarchy (name "").
pub(crate) fn own_cgroup(name: &str) -> String {
    let table = std::fs::read_to_string("/proc/self/cgroup").expect("the own control groups");
    let path = table.lines().find_map(|line| {
        let (names, path) = line.split_once(':')?.1.split_once(':')?;
        names.split(',').any(|own| own == name).then(|| path.to_owned())
    });
    path.unwrap_or_else(|| panic!("this process is in no control group of {name:?}"))
}

/// Every hierarchy: its controllers (v1; `name=systemd` too) and where it is mounted. hugetlb may be mounted for the run of the suite only.
pub(crate) fn hierarchies() -> &'static [(Vec<String>, PathBuf)] {
    static ALL: OnceLock<Vec<(Vec<String>, PathBuf)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let table = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo can be read");
        let lines = table.lines().filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let point = left.split(' ').nth(4)?;
            let mut right = right.split(' ');
            let (kind, _, options) = (right.next()?, right.next()?, right.next()?);
            kind.starts_with("cgroup")
                .then(|| (options.split(',').map(str::to_owned).collect(), PathBuf::from(point)))
        });
        lines.collect()
    })
}
