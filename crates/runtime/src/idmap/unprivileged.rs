//! The maps of an ordinary user's user namespace: its own id by itself, further ones through `newuidmap` and `newgidmap`
//! (shadow's set-user-id programs, which know who may use which range: subuid(5)).

use super::{IdMaps, lines, write_file};
use sampan_types::{Error, ErrorKind, Result, spec::IdMapping};
use std::{io, process::Command};

/// Gives the namespace of a process its maps.
pub(super) fn write(maps: &IdMaps, pid: i32) -> Result<()> {
    let own = |map: &[IdMapping], id: u32| matches!(map, [only] if only.size == 1 && only.host_id == id);
    if own(&maps.uids, rustix::process::geteuid().as_raw()) {
        write_file(&format!("/proc/{pid}/uid_map"), &lines(&maps.uids))?;
    } else {
        run("newuidmap", pid, &maps.uids)?;
    }
    if own(&maps.gids, rustix::process::getegid().as_raw()) {
        // Or who is kept out of something by a group could leave it.
        write_file(&format!("/proc/{pid}/setgroups"), "deny")?;
        return write_file(&format!("/proc/{pid}/gid_map"), &lines(&maps.gids));
    }
    run("newgidmap", pid, &maps.gids)
}

fn run(program: &str, pid: i32, map: &[IdMapping]) -> Result<()> {
    let numbers = map.iter().flat_map(|line| [line.container_id, line.host_id, line.size]);
    let arguments: Vec<_> =
        [pid as u32].into_iter().chain(numbers).map(|number| number.to_string()).collect();
    let what = || format!("cannot map ids with {program}");
    match Command::new(program).args(&arguments).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
            let hint = "give the user a range in /etc/subuid and /etc/subgid, or map its own id alone";
            Err(Error::new(ErrorKind::PermissionDenied, what()).because(said).hint(hint))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::new(ErrorKind::Unsupported, what())
                .because("there is no such program in PATH")
                .hint("install the package uidmap, or map the user's own id alone"))
        }
        Err(error) => Err(Error::io(what(), error)),
    }
}
