//! The places at which a failpoint build can be killed.

use std::path::Path;

/// The names of all failpoints in the sources, so that a new one is tested without being listed anywhere.
pub fn failpoints() -> Vec<String> {
    let mut names = Vec::new();
    for folder in ["crates/engine/src", "crates/shim/src", "crates/runtime/src"] {
        collect(&crate::places::checkout().join(folder), &mut names);
    }
    names.sort();
    names.dedup();
    names
}

fn collect(folder: &Path, names: &mut Vec<String>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder's entry").path();
        if path.is_dir() {
            collect(&path, names);
        } else {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let called = text.split("failpoint(\"").skip(1).filter_map(|rest| rest.split('"').next());
            names.extend(called.map(str::to_owned));
        }
    }
}
