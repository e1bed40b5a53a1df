//! From images to a running container.

use super::{
    external::{self, Described},
    failure,
    images::Images,
    mount_points,
    options::RestoreOptions,
    program, request,
    service::{Service, Surroundings},
    streams,
    wire::Message,
    words::{self, Answer, Kind, option},
};
use crate::{
    Bundle, Container, Options, Stdio,
    cgroup::{Cgroup, Entry, Wanted},
    create,
    error::Cannot,
    hooks,
    intel_rdt::{Rdt, RdtRecord},
    process::{Inherited, stdio},
    setup::{Root, Setup},
};
use rustix::{
    fs::{Mode, OFlags},
    process::{Pid, PidfdFlags, pidfd_open},
};
use sampan_sys::netns;
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{NamespaceKind, Status},
};
use std::{
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

const LOG: &str = "restore.log";

/// Makes a container from images: it runs when this returns. Init is a child of the caller, which must have one thread.
///
/// The control group, joined namespaces and mounts from outside are those of the bundle, the rest is as it was saved. Where standard
/// streams were pipes, the given ones take their places; a terminal's master is given back. `prestart` and `createRuntime` hooks are
/// run when the namespaces are there. What fails is undone.
///
/// # Errors
/// What CRIU says: `criu failed: type RESTORE errno N`, with the first errors of its log.
pub fn restore(
    bundle: Bundle<'_>,
    stdio: Stdio,
    options: Options,
    restore: &RestoreOptions,
) -> Result<Container> {
    let program = program::find(restore.criu.program.as_deref())?;
    let images = Images::find(&restore.criu)?;
    let mut setup = Setup::read(bundle, options)?;
    let Root::Plain(root) = &setup.root else {
        return Err(Error::new(ErrorKind::Unsupported, format!("cannot restore container {}", bundle.id))
            .because("its root filesystem is no directory of a bundle"));
    };
    let root = root.clone();
    let rdt = Rdt::of(setup.linux, bundle.id)?;
    let mut cgroup = Cgroup::of(Wanted {
        id: bundle.id,
        linux: setup.linux,
        annotations: &bundle.spec.annotations,
        driver: setup.options.cgroup,
        rootless: setup.options.rootless,
    })?;
    let guarded = !setup.has_user_namespace();
    // What was passed over in making the process was told then.
    setup.warnings = cgroup.create(setup.linux.resources.as_ref(), guarded)?;
    let work = Work { setup: &setup, cgroup: &cgroup, images: &images, root: &root, restore, stdio: &stdio };
    let made = work.run(&program, rdt.as_ref());
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            // The first failure is the one to tell.
            let _ = cgroup.kill_all().and_then(|()| cgroup.delete());
            let _ = create::run_stop_hooks(&setup);
            return Err(error);
        }
    };
    let Setup { linux, namespaces, maps, filter, personality, warnings, options, .. } = setup;
    Ok(Container {
        pid: made.pid,
        pidfd: Some(made.pidfd),
        start_time: made.start_time,
        console: made.console,
        entry: Some(made.entry),
        rdt: made.rdt,
        channel: None,
        gate: None,
        no_new_keyring: options.no_new_keyring,
        cgroup,
        warnings,
        hooks: bundle.spec.hooks.clone(),
        inherited: Inherited::of(bundle.spec.process.as_ref()),
        state: hooks::state(bundle.id, bundle.spec, bundle.path, Status::Running, made.pid),
        linux: linux.clone(),
        namespaces,
        maps,
        filter,
        personality,
    })
}

/// What has been restored.
struct Made {
    pid: i32,
    pidfd: OwnedFd,
    start_time: u64,
    console: Option<OwnedFd>,
    entry: Entry,
    rdt: Option<RdtRecord>,
}

/// All that a restore is made from.
#[derive(Clone, Copy)]
struct Work<'a> {
    setup: &'a Setup<'a>,
    cgroup: &'a Cgroup,
    images: &'a Images,
    /// The root filesystem's directory.
    root: &'a Path,
    restore: &'a RestoreOptions,
    stdio: &'a Stdio,
}

impl Work<'_> {
    fn run(self, program: &Path, rdt: Option<&Rdt<'_>>) -> Result<Made> {
        let setup = self.setup;
        let described = Described {
            mounts: &setup.mounts,
            linux: setup.linux,
            cgroup: self.cgroup,
            bound_devices: setup.has_user_namespace(),
            bundle: setup.bundle.path,
        };
        described.check()?;
        stdio::give(self.stdio, setup.process.user.uid, setup.maps.as_ref())?;
        let outer = self.outer_namespaces()?;
        let entry = self.cgroup.entry()?;
        let readers = setup.maps.as_ref().filter(|_| setup.has_user_namespace());
        let readers = readers.map(|maps| maps.groups_alone().namespace()).transpose()?;
        let read_only = setup.bundle.spec.root.as_ref().is_some_and(|root| root.readonly);
        // Its mounts are nobody else's, and gone with it, also when it is killed.
        let surroundings = Surroundings { own_mounts: true, group: Some((self.cgroup, &entry)) };
        let service = Service::start(program, surroundings, || {
            if let Stdio::Fds(fds) = self.stdio {
                stdio::place(fds)?;
            }
            mount_points::separate()?;
            mount_points::prepare(&described, self.root, read_only, &self.restore.scratch)?;
            match &readers {
                Some(userns) => self.images.open_for(userns),
                None => self.images.open(),
            }
        })?;
        let request = words::request_with(Kind::Restore, &self.options(&described, &service, &outer)?);
        drop(outer);
        let mut found = Found::default();
        let answer = service.request(&request, |answer, fds| self.notified(answer, fds, &mut found))?;
        if !answer.success {
            return Err(failure::of(Kind::Restore, &answer, &service, &self.images.log(LOG)));
        }
        drop(service);
        let pid = answer.restored;
        let (pidfd, start_time) = match found.process {
            Some(process) => process,
            None => open(pid)?,
        };
        let rdt = rdt.map(|rdt| rdt.create(pid)).transpose()?;
        Ok(Made { pid, pidfd, start_time, console: found.console, entry, rdt })
    }

    fn options(
        &self,
        described: &Described<'_>,
        service: &Service,
        outer: &[(OwnedFd, &str)],
    ) -> Result<Message> {
        let Self { setup, restore, images, .. } = self;
        let mut all = request::options(&restore.criu, setup.bundle.spec, &setup.namespaces, service, LOG);
        all.text(option::ROOT, restore.scratch.as_os_str().as_bytes())
            .flag(option::EVASIVE_DEVICES, true)
            .flag(option::RST_SIBLING, true);
        if let Some(profile) = &restore.lsm_profile {
            all.text(option::LSM_PROFILE, profile);
        }
        if let Some(context) = &restore.lsm_mount_context {
            all.text(option::LSM_MOUNT_CONTEXT, context);
        }
        for (controllers, path) in self.cgroup.roots() {
            for controller in controllers.split(',') {
                let mut root = Message::default();
                root.text(1, controller).text(2, path.as_os_str().as_bytes());
                all.message(option::CG_ROOT, &root);
            }
        }
        request::add_mounts(&mut all, &external::of_restore(described)?);
        for (fd, name) in outer {
            all.message(option::INHERIT_FD, &streams::descriptor(name, fd.as_fd().as_raw_fd()));
        }
        streams::inherit(&mut all, &images.path)?;
        Ok(all)
    }

    /// Copies of the namespaces to be joined that stay open in CRIU's process.
    fn outer_namespaces(&self) -> Result<Vec<(OwnedFd, &'static str)>> {
        let mut held = Vec::new();
        for (kind, word, name) in request::OUTER {
            if let Some((_, fd)) = self.setup.namespaces.joined.iter().find(|(joined, _)| *joined == kind) {
                let copy = rustix::io::dup(fd).cannot(|| format!("pass the {word} namespace on"))?;
                held.push((copy, name));
            }
        }
        Ok(held)
    }

    fn notified(&self, answer: &Answer, mut fds: Vec<OwnedFd>, found: &mut Found) -> Result<()> {
        match answer.script.as_str() {
            "setup-namespaces" => {
                if self.setup.namespaces.makes(NamespaceKind::Network) {
                    bring_loopback_up(answer.script_pid)?;
                }
                create::run_hooks(self.setup, answer.script_pid)
            }
            "post-restore" => {
                found.process = Some(open(answer.script_pid)?);
                Ok(())
            }
            "orphan-pts-master" => {
                found.console = fds.pop();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// As a new container has it. Connections through it are restored later.
fn bring_loopback_up(pid: i32) -> Result<()> {
    let path = format!("/proc/{pid}/ns/net");
    let netns = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .cannot(|| format!("open {path}"))?;
    netns::enter(netns, netns::bring_loopback_up)
        .cannot(|| "join the network namespace".into())?
        .cannot(|| "bring the loopback link up".into())
}

/// What notifications bring.
#[derive(Default)]
struct Found {
    process: Option<(OwnedFd, u64)>,
    console: Option<OwnedFd>,
}

/// The process that was restored, with its start time.
fn open(pid: i32) -> Result<(OwnedFd, u64)> {
    let what = || format!("open process {pid}");
    let number = Pid::from_raw(pid).ok_or_else(|| {
        Error::new(ErrorKind::Internal, "cannot find the restored process").because("criu has not named it")
    })?;
    let pidfd = pidfd_open(number, PidfdFlags::empty()).cannot(what)?;
    let start_time = sampan_sys::process::start_time(pid).cannot(what)?;
    Ok((pidfd, start_time))
}
