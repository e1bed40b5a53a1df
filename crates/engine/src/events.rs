//! The event log: one append-only file that any number of processes write and read.

use sampan_types::{ContainerRecord, Error, Result, event::Event};
use std::{collections::BTreeMap, io::Write, path::Path, time::SystemTime};

/// Beyond this many bytes the log is put aside as `<name>.1`, so that it does not grow for ever.
const LARGEST: u64 = 8 << 20;

/// Appends one line. A line is written by one call, so that those of several processes do not mix.
pub(crate) fn publish(log: &Path, event: &Event) -> Result<()> {
    let failed = |source| Error::io(format!("cannot write event log {}", log.display()), source);
    let mut line = serde_json::to_vec(event).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(log).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > LARGEST {
        std::fs::rename(log, log.with_extension("jsonl.1")).map_err(failed)?;
        file = std::fs::OpenOptions::new().append(true).create(true).open(log).map_err(failed)?;
    }
    file.write_all(&line).map_err(failed)
}

/// An event of a container.
pub(crate) fn container(record: &ContainerRecord, action: &str, extra: &[(&str, String)]) -> Event {
    let mut attributes: BTreeMap<String, String> = record.config.labels.clone();
    attributes.insert("name".into(), record.name.to_string());
    attributes.insert("image".into(), record.config.image.clone());
    attributes.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Event {
        time: SystemTime::now(),
        object: "container".into(),
        action: action.into(),
        id: record.id.to_string(),
        attributes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_and_the_log_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("events.jsonl");
        let event = Event {
            time: SystemTime::UNIX_EPOCH,
            object: "container".into(),
            action: "start".into(),
            id: "1".into(),
            attributes: BTreeMap::new(),
        };
        publish(&log, &event).unwrap();
        publish(&log, &event).unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 2);
        std::fs::File::options().write(true).open(&log).unwrap().set_len(LARGEST + 1).unwrap();
        publish(&log, &event).unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 1);
    }
}
