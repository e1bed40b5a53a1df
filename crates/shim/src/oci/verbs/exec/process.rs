//! The process that `exec` is asked for.

use crate::oci::{launch::check_process, words::Words};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{Capabilities, Process},
};

/// From `--process FILE` alone, or from the container's own with what the options change.
pub(super) fn described(words: &Words, own: Option<&Process>) -> Result<Process> {
    if let Some(path) = words.text("process") {
        let text = std::fs::read(path).map_err(|error| Error::io(format!("open {path}"), error))?;
        let process: Process = serde_json::from_slice(&text)
            .map_err(|error| refused(format!("cannot read {path}")).because(error))?;
        return valid(process);
    }
    let mut process = own.cloned().unwrap_or_default();
    process.args = words.arguments.iter().skip(1).cloned().collect();
    process.terminal = words.switch("tty");
    // The size of the container's own terminal says nothing of this one.
    process.console_size = None;
    if let Some(cwd) = words.text("cwd") {
        process.cwd = cwd.to_owned();
    }
    if let Some(label) = words.text("process-label") {
        process.selinux_label = Some(label.to_owned());
    }
    if let Some(profile) = words.text("apparmor") {
        process.apparmor_profile = Some(profile.to_owned());
    }
    process.no_new_privileges |= words.switch("no-new-privs");
    process.env.extend(words.all("env").map(str::to_owned));
    if let Some(user) = words.text("user") {
        set_user(&mut process, user)?;
    }
    for gid in words.all("additional-gids") {
        let gid = gid.parse().map_err(|_| refused(format!("bad gid: {gid:?} is no group's number")))?;
        process.user.additional_gids.push(gid);
    }
    let added: Vec<&str> = words.all("cap").collect();
    if !added.is_empty() {
        add(process.capabilities.get_or_insert_default(), &added);
    }
    valid(process)
}

fn valid(process: Process) -> Result<Process> {
    if process.args.is_empty() {
        return Err(refused("exec args cannot be empty"));
    }
    check_process(&process)?;
    Ok(process)
}

fn set_user(process: &mut Process, user: &str) -> Result<()> {
    let (uid, gid) = match user.split_once(':') {
        Some((uid, gid)) => (uid, Some(gid)),
        None => (user, None),
    };
    process.user.uid = uid.parse().map_err(|_| refused(format!("bad uid: {uid:?} is no user's number")))?;
    if let Some(gid) = gid {
        process.user.gid =
            gid.parse().map_err(|_| refused(format!("bad gid: {gid:?} is no group's number")))?;
    }
    Ok(())
}

/// What is added is in force. It is kept across `execve` of those who are not root only where the container keeps any.
fn add(sets: &mut Capabilities, names: &[&str]) {
    let keeps = !sets.inheritable.is_empty();
    let mut grown = vec![&mut sets.bounding, &mut sets.effective, &mut sets.permitted];
    if keeps {
        grown.extend([&mut sets.inheritable, &mut sets.ambient]);
    }
    for set in grown {
        for name in names {
            if !set.iter().any(|own| own == name) {
                set.push((*name).to_owned());
            }
        }
    }
}

fn refused(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Words {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        Words::parse(super::super::COMMAND.flags, super::super::COMMAND.order, &words).unwrap()
    }

    fn own() -> Process {
        Process {
            terminal: true,
            args: vec!["init".into()],
            env: vec!["A=1".into()],
            cwd: "/own".into(),
            capabilities: Some(Capabilities { bounding: vec!["CAP_KILL".into()], ..Capabilities::default() }),
            ..Process::default()
        }
    }

    #[test]
    fn options_change_the_containers_own() {
        let line = "-u 5:6 -g 7 --additional-gids 8 --cwd /x -e B=2 --env A=3 --no-new-privs --cap CAP_CHOWN id ls -t";
        let process = described(&words(line), Some(&own())).unwrap();
        assert_eq!(process.args, ["ls", "-t"]);
        assert_eq!(process.env, ["A=1", "B=2", "A=3"], "the last one wins, later");
        assert_eq!((process.user.uid, process.user.gid), (5, 6));
        assert_eq!(process.user.additional_gids, [7, 8]);
        assert_eq!((process.cwd.as_str(), process.terminal, process.no_new_privileges), ("/x", false, true));
        let sets = process.capabilities.unwrap();
        assert_eq!(sets.bounding, ["CAP_KILL", "CAP_CHOWN"]);
        assert_eq!((sets.permitted.len(), sets.ambient.len(), sets.inheritable.len()), (1, 0, 0));
    }

    #[test]
    fn capabilities_are_kept_only_where_the_container_keeps_any() {
        let mut sets = Capabilities { inheritable: vec!["CAP_KILL".into()], ..Capabilities::default() };
        add(&mut sets, &["CAP_CHOWN"]);
        assert_eq!(sets.inheritable, ["CAP_KILL", "CAP_CHOWN"]);
        assert_eq!(sets.ambient, ["CAP_CHOWN"]);
    }

    #[test]
    fn what_is_no_process_is_refused() {
        for (line, told) in [
            ("id", "exec args cannot be empty"),
            ("-u x id ls", "bad uid: \"x\" is no user's number"),
            ("-u 1:x id ls", "bad gid: \"x\" is no group's number"),
            ("--cwd rel id ls", "Cwd must be an absolute path"),
        ] {
            assert_eq!(described(&words(line), Some(&own())).unwrap_err().to_string(), told, "{line}");
        }
        let error = described(&words("-p /none id"), None).unwrap_err();
        assert_eq!(crate::oci::tell::sentence(&error), "open /none: no such file or directory");
    }

    #[test]
    fn a_file_stands_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            r#"{"args":["id"],"cwd":"/","terminal":true,"consoleSize":{"height":3,"width":4}}"#,
        )
        .unwrap();
        let process = described(&words(&format!("-p {} id", file.path().display())), Some(&own())).unwrap();
        assert_eq!((process.args.len(), process.env.len(), process.console_size.unwrap().width), (1, 0, 4));
    }
}
