//! A bundle on disk, and the way from it to an exit code.

use rustix::process::{WaitId, WaitIdOptions, waitid};
use sampan_runtime::{Bundle, Container, Options, Rootfs, Stdio, cgroup::Cgroup, create};
use sampan_types::{
    Mount, Result,
    spec::{self, IdMapping, Linux, Namespace, NamespaceKind, Process, Spec},
};
use std::{
    fs::{self, File},
    io::Read,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

/// Where the container's ids begin on the host.
pub(crate) const HOST_ID: u32 = 1_700_000;

/// A root filesystem in a directory of its own, and a specification to change.
pub(crate) struct Fixture {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) id: String,
    pub(crate) spec: Spec,
    pub(crate) options: Options,
    pub(crate) rootfs: Option<Mount>,
}

/// A container's end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) text: String,
}

impl Fixture {
    /// A container that runs this script with every namespace of its own.
    pub(crate) fn new(script: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("sampan-runtime-").tempdir_in("/var/tmp").unwrap();
        for name in ["layer/bin", "layer/etc", "upper", "work", "bundle", "layer/tmp"] {
            fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        // As an engine's directories are.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let layer = directory.path().join("layer");
        fs::copy("/bin/busybox", layer.join("bin/busybox")).unwrap();
        fs::set_permissions(layer.join("bin/busybox"), fs::Permissions::from_mode(0o755)).unwrap();
        for applet in [
            "sh", "ls", "id", "cat", "echo", "mount", "umount", "unshare", "hostname", "readlink", "touch",
            "stat", "mkdir", "true", "sleep", "tty", "stty", "chown", "kill", "pwd", "grep", "mknod", "head",
        ] {
            symlink("busybox", layer.join("bin").join(applet)).unwrap();
        }
        fs::write(
            layer.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n",
        )
        .unwrap();
        fs::write(layer.join("bin/plain"), "not a program").unwrap();
        let id = directory.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned();
        let rootfs = Mount::Overlay {
            lower: vec![layer],
            upper: Some(directory.path().join("upper")),
            work: Some(directory.path().join("work")),
        };
        let spec = spec(script, &id);
        Self { directory, id, spec, options: Options::default(), rootfs: Some(rootfs) }
    }

    /// The same with the host's user namespace.
    pub(crate) fn privileged(script: &str) -> Self {
        let mut fixture = Self::new(script);
        let linux = fixture.linux();
        linux.namespaces.retain(|namespace| namespace.kind != NamespaceKind::User);
        linux.uid_mappings.clear();
        linux.gid_mappings.clear();
        fixture
    }

    /// The same with its root filesystem in the bundle, as it is.
    pub(crate) fn plain(mut self) -> Self {
        fs::rename(self.path("layer"), self.path("bundle/rootfs")).unwrap();
        // Mapped ids are to be able to go there.
        for path in ["", "bundle", "bundle/rootfs"] {
            fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
        }
        for name in ["proc", "sys", "dev", "srv"] {
            fs::create_dir_all(self.path("bundle/rootfs").join(name)).unwrap();
        }
        self.rootfs = None;
        self.spec.root = Some(spec::Root { path: "rootfs".into(), readonly: false });
        self
    }

    /// Where a file of the root filesystem of [`Fixture::plain`] is.
    pub(crate) fn inside(&self, name: &str) -> PathBuf {
        self.path("bundle/rootfs").join(name)
    }

    /// From nothing to nothing: what it said.
    pub(crate) fn says(&self) -> String {
        let ended = self.run().unwrap_or_else(|error| panic!("{error:?}"));
        ended.text
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn linux(&mut self) -> &mut Linux {
        self.spec.linux.as_mut().unwrap()
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.spec.process.as_mut().unwrap()
    }

    pub(crate) fn create(&self, stdio: Stdio) -> Result<Container> {
        let bundle_path = self.path("bundle");
        let rootfs = self.rootfs.as_ref().map_or(Rootfs::Spec, Rootfs::Mount);
        let bundle = Bundle { id: &self.id, spec: &self.spec, path: &bundle_path, rootfs };
        create(bundle, stdio, self.options.clone())
    }

    /// Creates it with its output on a pipe.
    pub(crate) fn create_piped(&self) -> Result<(Container, File)> {
        let (reader, stdio) = pipes();
        self.create(stdio).map(|container| (container, reader))
    }

    /// From nothing to nothing.
    pub(crate) fn run(&self) -> Result<Ended> {
        let (mut container, reader) = self.create_piped()?;
        if let Err(error) = container.start() {
            container.delete().unwrap();
            return Err(error);
        }
        let ended = end(container.pidfd().unwrap(), reader);
        container.delete()?;
        self.assert_nothing_left();
        Ok(ended)
    }

    /// No control group of it is left, and no mount of its directories.
    pub(crate) fn assert_nothing_left(&self) {
        for root in hierarchies() {
            let group = root.join(group(&self.id).trim_start_matches('/'));
            assert!(!group.exists(), "{} is left", group.display());
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.directory.path().to_str().unwrap()), "{mounts}");
    }

    pub(crate) fn cgroup(&self) -> Cgroup {
        Cgroup::open(&group(&self.id)).unwrap()
    }
}

/// Its control group, below one that all tests of this process share.
pub(crate) fn group(id: &str) -> String {
    format!("/sampan-test-{}/{id}", std::process::id())
}

/// Removes that one, and ends what failed tests have left in it.
pub(crate) fn remove_cgroups() {
    let all = Cgroup::open(&format!("/sampan-test-{}", std::process::id())).unwrap();
    all.kill_all().unwrap();
    all.delete().unwrap();
}

fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_path_buf()];
    }
    fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Standard streams: nothing in, all out into one pipe.
pub(crate) fn pipes() -> (File, Stdio) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let null = File::open("/dev/null").unwrap();
    let copy = writer.try_clone().unwrap();
    (File::from(reader), Stdio::Fds([OwnedFd::from(null), writer, copy]))
}

/// Reads all and waits; 128+n after a signal.
pub(crate) fn end(pidfd: BorrowedFd<'_>, mut reader: File) -> Ended {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    Ended { code: wait(pidfd), text }
}

pub(crate) fn wait(pidfd: BorrowedFd<'_>) -> i32 {
    let status = waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED).unwrap().unwrap();
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap())
}

pub(crate) fn alive(pidfd: BorrowedFd<'_>) -> bool {
    let mut entries = [rustix::event::PollFd::from_borrowed_fd(pidfd.as_fd(), rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut entries, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 0
}

pub(crate) fn shell(script: &str) -> Process {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let all = words(&["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_DAC_OVERRIDE", "CAP_MKNOD"]);
    Process {
        args: words(&["sh", "-c", script]),
        env: words(&["PATH=/usr/bin:/bin"]),
        cwd: "/".into(),
        no_new_privileges: true,
        capabilities: Some(spec::Capabilities {
            bounding: all.clone(),
            effective: all.clone(),
            permitted: all,
            ..spec::Capabilities::default()
        }),
        ..Process::default()
    }
}

fn spec(script: &str, id: &str) -> Spec {
    use NamespaceKind::{Cgroup, Ipc, Mount, Network, Pid, User, Uts};
    let mapping = vec![IdMapping { container_id: 0, host_id: HOST_ID, size: 65_536 }];
    Spec {
        oci_version: spec::VERSION.into(),
        hostname: Some("box".into()),
        process: Some(shell(script)),
        mounts: vec![
            mount("/proc", "proc", "nosuid,noexec,nodev"),
            mount("/dev", "tmpfs", "nosuid,strictatime,mode=755,size=64k"),
            mount("/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
            mount("/dev/shm", "tmpfs", "nosuid,noexec,nodev,mode=1777,size=1m"),
            mount("/dev/mqueue", "mqueue", "nosuid,noexec,nodev"),
            mount("/sys", "sysfs", "nosuid,noexec,nodev,ro"),
            mount("/sys/fs/cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
        ],
        linux: Some(Linux {
            cgroups_path: Some(group(id)),
            uid_mappings: mapping.clone(),
            gid_mappings: mapping,
            namespaces: [Cgroup, Ipc, Mount, Network, Pid, User, Uts]
                .map(|kind| Namespace { kind, path: None })
                .to_vec(),
            masked_paths: ["/proc/cpuinfo", "/proc/keys", "/proc/none", "/sys/firmware"]
                .map(PathBuf::from)
                .to_vec(),
            readonly_paths: ["/proc/sys", "/proc/none"].map(PathBuf::from).to_vec(),
            ..Linux::default()
        }),
        ..Spec::default()
    }
}

pub(crate) fn mount(destination: &str, kind: &str, options: &str) -> spec::Mount {
    spec::Mount {
        destination: destination.into(),
        fs_type: Some(kind.into()),
        source: Some(kind.into()),
        options: options.split(',').map(str::to_owned).collect(),
        ..spec::Mount::default()
    }
}

/// Runs it in a copy of this process with mounts of its own, which go with it.
pub(crate) fn with_own_mounts(work: impl FnOnce()) {
    use rustix::mount::{MountPropagationFlags, mount_change};
    let child = sampan_sys::clone::clone(rustix::thread::UnshareFlags::NEWNS, None, || {
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        work();
        // Named by this process.
        remove_cgroups();
        0
    })
    .unwrap();
    assert_eq!(wait(child.pidfd.as_fd()), 0);
}

/// Mounts a tmpfs on the host's side, with options as in mount(8).
pub(crate) fn host_tmpfs(path: &Path, options: &str) {
    fs::create_dir_all(path).unwrap();
    let status = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success(), "mount -o {options} on {}", path.display());
}

pub(crate) fn bind(source: &Path, destination: &str, options: &str) -> spec::Mount {
    spec::Mount { source: Some(source.into()), ..mount(destination, "bind", options) }
}
