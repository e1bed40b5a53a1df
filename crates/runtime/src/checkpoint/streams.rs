//! Standard streams that are pipes to the outside. What is at their other end is not saved; at the restore the caller's own streams
//! are put in their places.

use super::{wire::Message, words::option};
use crate::{cgroup::Cgroup, error::Cannot};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Beside the images: what standard input, output and error were, in the kernel's words (`pipe:[812]`).
const FILE: &str = "descriptors.json";

/// Writes down what a container's streams are.
pub(super) fn save(pid: i32, cgroup: &Cgroup, images: &Path) -> Result<()> {
    let mut found = Vec::new();
    for number in 0..3 {
        let link = fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap_or_default();
        let name = link.to_string_lossy().into_owned();
        let own = name.starts_with("pipe:") && has_both_ends(&name, cgroup)?;
        found.push(if own { String::new() } else { name });
    }
    let path = images.join(FILE);
    let text = serde_json::to_vec(&found)
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot write the streams").because(error))?;
    fs::write(&path, text).cannot(|| format!("write {}", path.display()))
}

/// Whether a pipe is between processes of the container: then CRIU saves it.
fn has_both_ends(name: &str, cgroup: &Cgroup) -> Result<bool> {
    let (mut read, mut written) = (false, false);
    for pid in cgroup.pids()? {
        // One that has ended meanwhile has none.
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            if !fs::read_link(entry.path()).is_ok_and(|link| link == Path::new(name)) {
                continue;
            }
            let number = entry.file_name();
            let details = fs::read_to_string(PathBuf::from(format!("/proc/{pid}/fdinfo")).join(number));
            match access(&details.unwrap_or_default()) {
                Some(0) => read = true,
                Some(1) => written = true,
                Some(2) => (read, written) = (true, true),
                _ => {}
            }
        }
    }
    Ok(read && written)
}

/// The access mode in a line of `fdinfo` (proc_pid_fdinfo(5)): `flags:` and an octal number, whose lowest two bits it is.
fn access(details: &str) -> Option<u32> {
    let flags = details.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(flags.trim(), 8).ok().map(|flags| flags & 3)
}

/// Has CRIU put the standard streams of its own process in the places of those that were pipes.
pub(super) fn inherit(options: &mut Message, images: &Path) -> Result<()> {
    let path = images.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        // Images that were not made by a runtime.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        read => read.cannot(|| format!("read {}", path.display()))?,
    };
    let streams: Vec<String> = serde_json::from_slice(&text).map_err(|error| {
        Error::new(ErrorKind::InvalidInput, format!("cannot read {}", path.display())).because(error)
    })?;
    for (number, name) in (0..3).zip(&streams).filter(|(_, name)| name.starts_with("pipe:")) {
        options.message(option::INHERIT_FD, &descriptor(name, number));
    }
    Ok(())
}

/// A descriptor of CRIU's process under the name of what it replaces.
pub(super) fn descriptor(name: &str, number: i32) -> Message {
    let mut message = Message::default();
    message.text(1, name).number(2, number.into());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_modes_are_read() {
        assert_eq!(access("pos:\t0\nflags:\t0100001\nmnt_id:\t9\n"), Some(1));
        assert_eq!(access("flags:\t02\n"), Some(2));
        assert_eq!(access(""), None);
    }

    #[test]
    fn only_pipes_are_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let mut options = Message::default();
        inherit(&mut options, directory.path()).unwrap();
        assert!(options.bytes().is_empty());
        let file = directory.path().join(FILE);
        fs::write(&file, r#"["/dev/null","pipe:[7]",""]"#).unwrap();
        inherit(&mut options, directory.path()).unwrap();
        let mut expected = Message::default();
        expected.message(option::INHERIT_FD, &descriptor("pipe:[7]", 1));
        assert_eq!(options, expected);
        fs::write(&file, "{").unwrap();
        assert!(inherit(&mut options, directory.path()).unwrap_err().to_string().starts_with("cannot read "));
    }
}
