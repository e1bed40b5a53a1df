//! Starting a container: the way from a record to a running task, as a straight list.

use crate::{
    Engine, TaskClient, etc_files, events, id_range,
    lock::{Pending, Verb},
    network::endpoint_of,
    observe::{Observed, observe},
    recipe::{self, Ingredients},
    rights,
    rollback::Rollback,
    shim,
    users::{self, Accounts, ResolvedUser},
};
use sampan_image::ImageConfig;
use sampan_net::{Network, Plan};
use sampan_sys::failpoint;
use sampan_types::{
    ContainerRecord, ContainerType, Error, ErrorKind, Mount, NetworkMode, Result, Userns,
    ops::Task,
    task::{Reply, Request, TaskConfig},
};
use std::{
    cell::OnceCell,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    rc::Rc,
};

/// How a container is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Connect to its stdio before it runs.
    pub(crate) attach: bool,
    /// Rows and columns of the caller's terminal.
    pub(crate) console_size: Option<(u16, u16)>,
    /// The caller stays until the exit and tidies after it.
    pub(crate) tidies: bool,
}

/// What was looked up before anything is touched.
struct Preparation {
    image: ImageConfig,
    rootfs: Mount,
    user: ResolvedUser,
    hostname: String,
    network: Option<Network>,
}

impl Engine {
    /// Starts a container whose lock the caller holds. On failure everything is as before.
    pub(crate) fn start(&self, record: &ContainerRecord, manner: Manner) -> Result<Task> {
        match observe(&self.paths, &record.id)? {
            Observed::Running(_) => {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("cannot start container {}", record.name),
                )
                .because("it is already running"));
            }
            Observed::Dead(_) => self.tidy(record)?,
            Observed::Absent => {}
        }
        let pending = Pending::begin(&self.paths.run, &record.id, Verb::Start)?;
        failpoint("engine.start.pending");
        let mut rollback = Rollback::default();
        let result = match self.start_steps(record, manner, &mut rollback) {
            Ok(task) => {
                rollback.disarm();
                Ok(task)
            }
            Err(error) => Err(rollback.undo(error)),
        };
        pending.end()?;
        result
    }

    fn start_steps<'a>(
        &'a self,
        record: &'a ContainerRecord,
        manner: Manner,
        rollback: &mut Rollback<'a>,
    ) -> Result<Task> {
        let preparation = self.prepare(record)?;
        let plan = match (&preparation.network, &record.endpoint) {
            (Some(network), Some(endpoint)) => {
                Some(self.host.borrow_mut().plan(network, &endpoint_of(record, endpoint))?)
            }
            _ => None,
        };
        make_volume_sources(record)?;

        // Undone last: only when nothing of the container is left may its shim go without tidying itself.
        let shim: Rc<OnceCell<TaskClient>> = Rc::default();
        let held = Rc::clone(&shim);
        rollback.push(move || held.get().map_or(Ok(()), |shim| shim.send(&Request::Cleaned, &[])));
        let bundle = self.paths.bundle(&record.id);
        std::fs::create_dir_all(bundle.join("rootfs"))
            .map_err(|source| Error::io(format!("cannot make bundle {}", bundle.display()), source))?;
        // Whatever of it the shim has not taken away itself, killed as it may be.
        rollback.push(|| self.remove_runtime(&record.id));
        failpoint("engine.start.bundle");

        let id_base = match record.config.userns {
            Userns::Own => Some(id_range::claim(&record.id, &bundle)?),
            Userns::Host => None,
        };
        failpoint("engine.start.ids");

        let held = Rc::clone(&shim);
        rollback.push(move || held.get().map_or(Ok(()), TaskClient::end));
        let client = self.create_task(record, &preparation, id_base, manner)?;
        let client = shim.get_or_init(|| client);
        let (netns, warnings) = shim::created(client)?;
        warnings.iter().for_each(|warning| self.progress.warn(warning));
        failpoint("engine.start.created");

        if let (Some(plan), Some(network)) = (plan, &preparation.network) {
            rollback.push(|| self.detach(record));
            self.attach_network(record, &preparation, network, plan, &netns)?;
        }
        if record.config.network == NetworkMode::None {
            sampan_net::loopback_up(netns.as_fd())?;
        }
        failpoint("engine.start.attached");

        let stream = match manner.attach {
            true => Some(attach_stdio(client, record.config.stdin_open || record.config.tty)?),
            false => None,
        };
        if manner.attach {
            client.send(&Request::Wait { cleans: manner.tidies }, &[])?;
        }
        let (Reply::Started { .. }, _) = client.request(&Request::Start, &[])? else {
            return Err(Error::new(ErrorKind::Internal, format!("cannot start container {}", record.name))
                .because("its shim gave an answer that does not belong to the question"));
        };
        failpoint("engine.start.started");
        events::publish(&self.paths.events(), &events::container(record, "start", &[]))?;
        Ok(Task {
            id: record.id.clone(),
            name: record.name.clone(),
            control: client.try_clone_socket()?,
            stream,
            tty: record.config.tty,
            stdin_open: record.config.stdin_open,
        })
    }

    /// Looks up everything a start needs; touches nothing but the container's snapshot, where a killed creation has
    /// not made it yet.
    fn prepare(&self, record: &ContainerRecord) -> Result<Preparation> {
        let stored = self.store.image_by_digest(&record.image_digest)?;
        let image = ImageConfig::of(&stored)?;
        let rootfs = self.root_filesystem(record, &stored)?;
        if recipe::args(&record.config, &image).is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("cannot start container {}", record.name),
            )
            .because(format!("neither the image {} nor you say what to run", record.config.image))
            .hint("name a program after the image"));
        }
        if record.config.container_type == ContainerType::System {
            require_init(record, &rootfs)?;
        }
        let user = record.config.user.as_deref().unwrap_or(&image.user);
        let user = Accounts::from_mount(&rootfs).resolve(user)?;
        let network = record.endpoint.as_ref().map(|endpoint| self.network_of(endpoint)).transpose()?;
        Ok(Preparation { image, rootfs, user, hostname: hostname(record), network })
    }

    /// Writes the bundle and has a shim begin on it.
    fn create_task(
        &self,
        record: &ContainerRecord,
        preparation: &Preparation,
        id_base: Option<u32>,
        manner: Manner,
    ) -> Result<TaskClient> {
        let bundle = self.paths.bundle(&record.id);
        let folder = self.paths.container(&record.id);
        let resolver = preparation.network.as_ref().map(|network| network.ipv4_gateway.into());
        let endpoint = record.endpoint.as_ref();
        etc_files::write(&folder, &preparation.hostname, &record.config.network, endpoint, resolver)?;
        if record.config.container_type == ContainerType::System {
            etc_files::install(&folder, &preparation.rootfs)?;
        }
        let missing_capabilities = match id_base {
            Some(_) => Vec::new(),
            None => rights::missing_capabilities()?,
        };
        let spec = recipe::specification(&Ingredients {
            record,
            image: &preparation.image,
            user: &preparation.user,
            id_base,
            cgroup: self.paths.cgroup(&record.id),
            etc: folder.clone(),
            hostname: preparation.hostname.clone(),
            root: bundle.join("rootfs"),
            missing_capabilities: &missing_capabilities,
            console_size: manner.console_size,
        });
        let task = TaskConfig {
            id: record.id.clone(),
            rootfs: preparation.rootfs.clone(),
            system: record.config.container_type == ContainerType::System,
            stdin_open: record.config.stdin_open,
            stdin_once: manner.attach,
            log: Some(folder.join("log.json")),
            console_size: manner.console_size,
            on_exit: self.on_exit(record)?,
        };
        shim::start(&self.paths, &record.id, &spec, &task)
    }

    /// What the shim becomes at its end: this program, tidying.
    fn on_exit(&self, record: &ContainerRecord) -> Result<Vec<String>> {
        let program =
            std::env::current_exe().map_err(|source| Error::io("cannot find this program", source))?;
        let words =
            [program.as_path(), "--root".as_ref(), &self.paths.root, "--run".as_ref(), &self.paths.run];
        let mut argv: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        argv.extend(["internal".to_owned(), "clean-up".to_owned(), record.id.to_string()]);
        Ok(argv)
    }

    fn attach_network(
        &self,
        record: &ContainerRecord,
        preparation: &Preparation,
        network: &Network,
        plan: Plan,
        netns: &OwnedFd,
    ) -> Result<()> {
        self.bring_up(network)?;
        let attached = self.host.borrow_mut().attach(plan, netns.as_fd())?;
        if attached.ports != record.config.ports {
            self.store.update_ports(&record.id, &attached.ports)?;
        }
        self.publish_names(record, network, &preparation.hostname)
    }
}

/// Connects to a task's stdio.
pub(crate) fn attach_stdio(client: &TaskClient, stdin: bool) -> Result<OwnedFd> {
    let (_, mut fds) = client.request(&Request::Attach { stdin }, &[])?;
    fds.pop().ok_or_else(|| {
        Error::new(ErrorKind::Internal, "cannot attach to the container").because("its shim gave no stream")
    })
}

fn hostname(record: &ContainerRecord) -> String {
    match (&record.config.hostname, record.config.container_type) {
        (Some(hostname), _) => hostname.clone(),
        (None, ContainerType::System) => record.name.to_string(),
        (None, ContainerType::App) if record.config.network == NetworkMode::Host => {
            rustix::system::uname().nodename().to_string_lossy().into_owned()
        }
        (None, ContainerType::App) => record.id.short().to_owned(),
    }
}

/// A root filesystem without init cannot be launched; better said here than by a program that is not found.
fn require_init(record: &ContainerRecord, rootfs: &Mount) -> Result<()> {
    if record.config.entrypoint.is_some() || !record.config.command.is_empty() {
        return Ok(());
    }
    if ["sbin/init", "usr/sbin/init"].iter().any(|init| is_in_layers(rootfs, init)) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidInput, format!("cannot launch {}", record.name))
        .because(format!("the image {} has no /sbin/init", record.config.image))
        .hint(
            "take an image with an init system (--include systemd-sysv), or sampan run for a single program",
        ))
}

/// Whether the topmost layer that says anything about a path has a file there, not overlay's mark of a removed one (a
/// character device 0:0).
fn is_in_layers(rootfs: &Mount, path: &str) -> bool {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let found = users::layers(rootfs).into_iter().find_map(|layer| layer.join(path).symlink_metadata().ok());
    found.is_some_and(|file| !(file.file_type().is_char_device() && file.rdev() == 0))
}

/// As Docker does for `-v`, a source that is missing becomes an empty directory.
fn make_volume_sources(record: &ContainerRecord) -> Result<()> {
    for volume in &record.config.volumes {
        if volume.source.symlink_metadata().is_err() {
            std::fs::create_dir_all(&volume.source).map_err(|source| {
                Error::io(format!("cannot mount {}", volume.source.display()), source)
                    .hint("name a directory or file of the host that exists")
            })?;
        }
    }
    Ok(())
}

/// Removes a bundle; no error where it is gone. A shim that is just ending may still put a file into it.
pub(crate) fn remove_bundle(bundle: &Path) -> Result<()> {
    const TRIES: u32 = 20;
    for left in (0..TRIES).rev() {
        match std::fs::remove_dir_all(bundle) {
            Ok(()) => break,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty && left > 0 => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Err(error) => return Err(Error::io(format!("cannot remove bundle {}", bundle.display()), error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_where_the_topmost_layer_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let (upper, lower) = (dir.path().join("upper"), dir.path().join("lower"));
        fs::create_dir_all(lower.join("sbin")).unwrap();
        fs::create_dir_all(upper.join("sbin")).unwrap();
        fs::write(lower.join("sbin/init"), "").unwrap();
        let rootfs = Mount::Overlay { lower: vec![lower], upper: Some(upper.clone()), work: None };
        assert!(is_in_layers(&rootfs, "sbin/init"));
        assert!(!is_in_layers(&rootfs, "usr/sbin/init"));
        let whiteout = rustix::fs::mknodat(
            rustix::fs::CWD,
            upper.join("sbin/init"),
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::empty(),
            0,
        );
        whiteout.unwrap();
        assert!(!is_in_layers(&rootfs, "sbin/init"), "it was removed in the upper layer");
    }
}
