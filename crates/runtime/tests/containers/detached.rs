//! Containers that one process creates and others start, look at and delete.

use crate::support::{Fixture, end, pipes, wait};
use sampan_runtime::{Container, ExecOptions, Record};
use sampan_types::spec::Status;
use std::{fs::File, os::unix::fs::PermissionsExt, path::PathBuf};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("detached_start", started_by_another),
    ("detached_abandoned", abandoned_before_it_is_detached),
    ("detached_failure", failure_after_the_gate),
    ("detached_delete", deleted_before_it_is_started),
];

fn create(fixture: &mut Fixture) -> (Container, File) {
    fixture.options.gate = Some(gate(fixture));
    fixture.create_piped().unwrap()
}

fn gate(fixture: &Fixture) -> PathBuf {
    fixture.path("gate")
}

/// As a later process does: from what was written down.
fn reopen(fixture: &Fixture, record: &Record) -> Container {
    let text = serde_json::to_string(record).unwrap();
    let record = serde_json::from_str(&text).unwrap();
    Container::open(&fixture.id, &fixture.spec, &fixture.path("bundle"), record).unwrap()
}

fn started_by_another() {
    let mut fixture = Fixture::new("echo up; sleep 100");
    let (container, reader) = create(&mut fixture);
    let record = container.record();
    container.detach().unwrap();

    let mut container = reopen(&fixture, &record);
    assert_eq!(container.status().unwrap(), Status::Created);
    container.start().unwrap();
    assert_eq!(container.status().unwrap(), Status::Running);
    assert!(!gate(&fixture).exists());

    let mut container = reopen(&fixture, &record);
    let error = container.start().unwrap_err();
    assert_eq!(error.to_string(), format!("cannot start container {}", fixture.id));
    assert_eq!(error.causes(), ["it was started before"]);
    let (output, stdio) = pipes();
    let mut process = fixture.process().clone();
    process.args = ["sh", "-c", "id -u"].map(str::to_owned).to_vec();
    let exec = container.exec(&process, stdio, &ExecOptions::default()).unwrap();
    assert_eq!(end(std::os::fd::AsFd::as_fd(&exec.pidfd), output).text, "0\n");

    container.kill(rustix::process::Signal::KILL).unwrap();
    let ended = end(container.pidfd().unwrap(), reader);
    assert_eq!((ended.code, ended.text.as_str()), (137, "up\n"));
    assert_eq!(container.status().unwrap(), Status::Stopped);
    let container = reopen(&fixture, &record);
    assert!(container.pidfd().is_none());
    let error = container.kill(rustix::process::Signal::KILL).unwrap_err();
    assert_eq!(error.causes(), ["container not running"]);
    container.delete().unwrap();
    fixture.assert_nothing_left();
}

fn abandoned_before_it_is_detached() {
    let mut fixture = Fixture::new("sleep 100");
    let (container, _reader) = create(&mut fixture);
    let container_again = reopen(&fixture, &container.record());
    drop(container);
    assert_eq!(wait(container_again.pidfd().unwrap()), 125, "nobody knows of it");
    container_again.delete().unwrap();
    fixture.assert_nothing_left();
}

fn failure_after_the_gate() {
    let mut fixture = Fixture::new("true");
    std::fs::set_permissions(fixture.path("layer/bin/plain"), std::fs::Permissions::from_mode(0o755))
        .unwrap();
    fixture.process().args = vec!["/bin/plain".into()];
    let (container, _reader) = create(&mut fixture);
    let record = container.record();
    container.detach().unwrap();
    let mut container = reopen(&fixture, &record);
    let error = container.start().unwrap_err();
    assert_eq!(format!("{error:?}"), "NotExecutable: exec /bin/plain: exec format error");
    assert_eq!(error.causes(), ["exec format error"]);
    container.delete().unwrap();
    fixture.assert_nothing_left();
}

fn deleted_before_it_is_started() {
    let mut fixture = Fixture::new("true");
    let (container, _reader) = create(&mut fixture);
    let record = container.record();
    container.detach().unwrap();
    reopen(&fixture, &record).delete().unwrap();
    assert!(!gate(&fixture).exists());
    fixture.assert_nothing_left();
}
