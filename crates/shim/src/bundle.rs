//! The bundle's files, and the shim's facts in them.

use sampan_types::{
    Error, ErrorKind, Result,
    spec::Spec,
    task::{ProcessId, TaskConfig, TaskState},
};
use serde::de::DeserializeOwned;
use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// A bundle: `<run>/containers/<id>`.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Absolute path of the directory.
    pub(crate) path: PathBuf,
    /// What the engine asks for.
    pub(crate) task: TaskConfig,
    /// `<run>/shims`.
    shims: PathBuf,
}

impl Bundle {
    /// Reads `task.json` of a bundle's directory.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let path = fs::canonicalize(path)
            .map_err(|error| Error::io(format!("cannot open bundle {}", path.display()), error))?;
        let task: TaskConfig = read(&path.join("task.json"))?;
        let run = path.parent().and_then(Path::parent);
        let (Some(run), true) = (run, path.ends_with(task.id.as_str())) else {
            return Err(Error::new(ErrorKind::InvalidInput, format!("cannot use bundle {}", path.display()))
                .because(format!("it must be <run>/containers/{}", task.id)));
        };
        let shims = run.join("shims");
        Ok(Self { path, task, shims })
    }

    /// Reads `config.json`. Not kept: it is long, and needed again only when init reboots.
    pub(crate) fn spec(&self) -> Result<Spec> {
        read(&self.path.join("config.json"))
    }

    /// Where clients connect.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join("shim.sock")
    }

    /// What the shim itself has to complain of, once nobody listens.
    pub(crate) fn shim_log(&self) -> PathBuf {
        self.path.join("shim.log")
    }

    /// Replaces `state.json`: a reader sees the old facts or the new ones, never a part.
    pub(crate) fn record(&self, state: &TaskState) -> Result<()> {
        let path = self.path.join("state.json");
        let fresh = self.path.join("state.json.new");
        let failed = |error| Error::io(format!("cannot write {}", path.display()), error);
        let json = serde_json::to_vec(state).map_err(|error| failed(error.into()))?;
        let mut options = fs::OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(failed)?;
        file.write_all(&json).map_err(failed)?;
        fs::rename(&fresh, &path).map_err(failed)
    }

    /// Makes the entry by which a sweep finds this shim when it is dead.
    pub(crate) fn announce(&self, shim: ProcessId) -> Result<()> {
        let entry = self.entry(shim);
        let failed = |error| Error::io(format!("cannot make {}", entry.display()), error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.shims).map_err(failed)?;
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&entry)
            .map_err(failed)?;
        Ok(())
    }

    /// Removes the entry: all is tidy. One that is missing was removed by who tidied.
    pub(crate) fn retire(&self, shim: ProcessId) {
        let _ = fs::remove_file(self.entry(shim));
    }

    fn entry(&self, shim: ProcessId) -> PathBuf {
        self.shims.join(format!("{}-{}-{}", shim.pid, shim.start, self.task.id))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let what = || format!("cannot read {}", path.display());
    let text = fs::read(path).map_err(|error| Error::io(what(), error))?;
    serde_json::from_slice(&text).map_err(|error| Error::new(ErrorKind::InvalidInput, what()).because(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_types::{ContainerId, Mount};

    fn make(run: &Path, folder: &str) -> PathBuf {
        let path = run.join("containers").join(folder);
        fs::create_dir_all(&path).unwrap();
        let task = TaskConfig {
            id: ContainerId::from_bytes([0xab; 32]),
            rootfs: Mount::Bind { source: "/".into(), read_only: true },
            system: false,
            stdin_open: false,
            stdin_once: false,
            log: None,
            console_size: None,
            on_exit: Vec::new(),
        };
        fs::write(path.join("task.json"), serde_json::to_vec(&task).unwrap()).unwrap();
        path
    }

    #[test]
    fn an_entry_names_the_process_and_the_container() {
        let run = tempfile::tempdir().unwrap();
        let bundle = Bundle::open(&make(run.path(), &"ab".repeat(32))).unwrap();
        let shim = ProcessId { pid: 7, start: 99 };
        bundle.announce(shim).unwrap();
        let entry = run.path().join("shims").join(format!("7-99-{}", "ab".repeat(32)));
        assert!(entry.exists());
        bundle.retire(shim);
        assert!(!entry.exists());
    }

    #[test]
    fn a_bundle_must_be_named_by_its_container() {
        let run = tempfile::tempdir().unwrap();
        let error = Bundle::open(&make(run.path(), "other")).unwrap_err();
        assert!(error.to_string().starts_with("cannot use bundle "), "{error}");
        assert_eq!(error.causes(), [format!("it must be <run>/containers/{}", "ab".repeat(32))]);
    }

    #[test]
    fn a_damaged_or_missing_file_is_named() {
        let run = tempfile::tempdir().unwrap();
        let path = make(run.path(), &"ab".repeat(32));
        let bundle = Bundle::open(&path).unwrap();
        let missing = bundle.spec().unwrap_err();
        assert_eq!(missing.to_string(), format!("cannot read {}/config.json", path.display()));
        fs::write(path.join("config.json"), "{").unwrap();
        assert_eq!(bundle.spec().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
