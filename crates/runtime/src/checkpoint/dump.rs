//! From a running container to images.

use super::{
    external::{self, Described},
    failure,
    images::{Images, check_parent},
    options::CheckpointOptions,
    program, request,
    service::{Service, Surroundings},
    streams,
    wire::Message,
    words::{self, Kind, option},
};
use crate::{Bundle, Container, Rootfs, error::Cannot, rootfs::options::Options};
use rustix::fs::stat;
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{NamespaceKind, Status},
};
use std::os::unix::ffi::OsStrExt;

const LOG: &str = "dump.log";

impl Container {
    /// Saves the container with all its processes to images. Afterwards it has ended, unless it is left running or this was a
    /// pre-dump; what is left of it is for [`Self::delete`]. `bundle` is what it was made from. Legal when running and paused.
    ///
    /// # Errors
    /// What CRIU says: `criu failed: type DUMP errno N`, with the first errors of its log. The container goes on then.
    pub fn checkpoint(&self, bundle: Bundle<'_>, options: &CheckpointOptions) -> Result<()> {
        match self.status()? {
            Status::Running | Status::Paused => {}
            status => return Err(not_legal(status)),
        }
        let program = program::find(options.criu.program.as_deref())?;
        let images = Images::make(&options.criu)?;
        if let Some(parent) = &options.parent {
            check_parent(&images.path, parent)?;
        }
        let kind = if options.pre_dump { Kind::PreDump } else { Kind::Dump };
        let service = Service::start(&program, Surroundings::default(), || images.open())?;
        check_features(&service, options)?;
        let request = words::request_with(kind, &self.options(bundle, options, &service)?);
        if !options.pre_dump {
            streams::save(self.pid, &self.cgroup, &images.path)?;
        }
        let answer = service.request(&request, |_, _| Ok(()))?;
        if answer.success { Ok(()) } else { Err(failure::of(kind, &answer, &service, &images.log(LOG))) }
    }

    fn options(&self, bundle: Bundle<'_>, options: &CheckpointOptions, service: &Service) -> Result<Message> {
        let spec = bundle.spec;
        let Rootfs::Spec = bundle.rootfs else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("cannot checkpoint container {}", bundle.id),
            )
            .because("its root filesystem is made in its own namespaces, where criu cannot make it again"));
        };
        let root = spec.root.as_ref().map(|root| bundle.path.join(&root.path)).unwrap_or_default();
        let mut mounts = Vec::with_capacity(spec.mounts.len());
        for mount in &spec.mounts {
            let mut parsed = Options::parse(mount)?;
            // A source that is gone by now was no link that was copied, or does not matter any more.
            let _ = parsed.read_link(mount, bundle.path);
            mounts.push((mount, parsed));
        }
        let described = Described {
            mounts: &mounts,
            linux: &self.linux,
            cgroup: &self.cgroup,
            bound_devices: self.namespaces.has(NamespaceKind::User),
            bundle: bundle.path,
        };
        described.check()?;
        let mut all = request::options(&options.criu, spec, &self.namespaces, service, LOG);
        all.number(option::PID, self.pid.into())
            .text(option::ROOT, root.as_os_str().as_bytes())
            .flag(option::LEAVE_RUNNING, options.leave_running)
            .flag(option::TRACK_MEM, options.pre_dump || options.parent.is_some())
            .flag(option::TCP_SKIP_IN_FLIGHT, options.tcp_skip_in_flight)
            .flag(option::LINK_REMAP, options.link_remap);
        if let Some(parent) = &options.parent {
            all.text(option::PARENT_IMG, parent.as_os_str().as_bytes());
        }
        if let Some(server) = &options.page_server {
            let mut message = Message::default();
            message.text(1, &server.address).number(2, server.port.into());
            all.message(option::PAGE_SERVER, &message);
        }
        if let Some(number) = options.status_fd {
            all.number(option::STATUS_FD, number.into());
        }
        if let Some(directory) = self.cgroup.freezer() {
            all.text(option::FREEZE_CGROUP, directory.as_os_str().as_bytes());
        }
        request::add_mounts(&mut all, &external::of_checkpoint(self.pid, &described)?);
        for (kind, word, name) in request::OUTER {
            if self.namespaces.has(kind) && !request::is_own(spec, kind) {
                let path = format!("/proc/{}/ns/{word}", self.pid);
                let inode = stat(&path).cannot(|| format!("look at {path}"))?.st_ino;
                all.text(option::EXTERNAL, format!("{word}[{inode}]:{name}"));
            }
        }
        Ok(all)
    }
}

/// runc's sentence.
fn not_legal(status: Status) -> Error {
    let status = match status {
        Status::Created => "created",
        Status::Creating => "creating",
        _ => "stopped",
    };
    Error::new(ErrorKind::Conflict, format!("Container cannot be checkpointed in {status} state"))
}

/// Refuses what this kernel, or this CRIU, has not got: else memory would be saved that is not all of it.
fn check_features(service: &Service, options: &CheckpointOptions) -> Result<()> {
    let (tracking, lazy) = (options.pre_dump || options.parent.is_some(), options.criu.lazy_pages);
    if !(tracking || lazy) {
        return Ok(());
    }
    let features = service.features()?;
    let missing = match (tracking && !features.memory_tracking, lazy && !features.lazy_pages) {
        (true, _) => ("MemTrack", "this kernel cannot tell which memory has changed (CONFIG_MEM_SOFT_DIRTY)"),
        (_, true) => ("LazyPages", "this kernel has no userfaultfd for it"),
        (false, false) => return Ok(()),
    };
    Err(Error::new(ErrorKind::Unsupported, format!("criu is missing features: [{}]", missing.0))
        .because(missing.1))
}
