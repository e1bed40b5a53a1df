//! A bundle read and checked: all that can be known before the first process is made.

use crate::{
    Bundle, Options, Rootfs,
    cgroup::{Cgroup, Entry},
    error::invalid,
    hooks,
    idmap::IdMaps,
    namespaces::Namespaces,
    net_devices,
    process::{
        self, capabilities::Sets, labels::Labels, memory_policy::MemoryPolicy, rlimits,
        scheduling::Scheduling,
    },
    rootfs::{
        build, options,
        overlay::{Anchors, Union},
        trees::Idmaps,
    },
    seccomp::{Filter, notify},
    sysctl,
};
use sampan_types::{
    Mount, Result,
    spec::{self, Linux, NamespaceKind, Process},
};
use std::path::{Path, PathBuf};

/// What a container is made from, checked.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) bundle: Bundle<'a>,
    pub(crate) linux: &'a Linux,
    pub(crate) process: &'a Process,
    pub(crate) options: Options,
    pub(crate) namespaces: Namespaces,
    /// The maps of its user namespace, where it has one of its own.
    pub(crate) maps: Option<IdMaps>,
    pub(crate) root: Root<'a>,
    pub(crate) mounts: Vec<(&'a spec::Mount, options::Options<'a>)>,
    /// User namespaces for mounts with id maps of their own.
    pub(crate) idmaps: Idmaps,
    /// Whether the runtime makes trees of mounts for the child: for ids that are mapped, and for sources that only it can reach. An
    /// ordinary user may not, and can reach no more than its child.
    pub(crate) makes_trees: bool,
    pub(crate) sets: Sets,
    pub(crate) filter: Option<Filter>,
    pub(crate) personality: Option<u32>,
    pub(crate) memory: Option<MemoryPolicy>,
    pub(crate) scheduling: Scheduling,
    pub(crate) labels: Labels,
    pub(crate) warnings: Vec<String>,
}

/// Where the root comes from.
#[derive(Debug)]
pub(crate) enum Root<'a> {
    /// A directory of a bundle, with all that is mounted below it, as it is.
    Plain(PathBuf),
    /// A snapshot that is one directory.
    Directory { source: &'a Path, read_only: bool },
    /// A snapshot that is a union.
    Union { union: Union<'a>, anchors: Anchors },
}

static NO_LINUX: std::sync::LazyLock<Linux> = std::sync::LazyLock::new(Linux::default);

impl<'a> Setup<'a> {
    pub(crate) fn read(bundle: Bundle<'a>, options: Options) -> Result<Self> {
        let spec = bundle.spec;
        let linux = spec.linux.as_ref().unwrap_or(&NO_LINUX);
        let Some(process) = &spec.process else {
            return Err(invalid(format!("invalid specification of {}", bundle.id), "it has no process"));
        };
        rlimits::check(&process.rlimits)?;
        spec.hooks.as_ref().map_or(Ok(()), hooks::check)?;
        let namespaces = Namespaces::open(linux)?;
        check_names(&bundle, &namespaces)?;
        sysctl::check(spec, linux, &namespaces)?;
        net_devices::check(linux, &namespaces)?;
        build::check_label(linux.mount_label.as_deref())?;
        let maps = maps(linux, &namespaces)?;
        let filter = linux.seccomp.as_ref().map(Filter::compile).transpose()?;
        linux.seccomp.as_ref().map_or(Ok(()), notify::check)?;
        let mut mounts = Vec::with_capacity(spec.mounts.len());
        for mount in &spec.mounts {
            let mut options = options::Options::parse(mount)?;
            options.read_link(mount, bundle.path)?;
            if let Some(maps) = &maps {
                options.drop_unmapped(mount, maps);
            }
            mounts.push((mount, options));
        }
        let has_user_namespace = namespaces.has(NamespaceKind::User);
        let mut warnings = Vec::new();
        Ok(Self {
            makes_trees: has_user_namespace && rustix::process::geteuid().is_root(),
            idmaps: Idmaps::make(&mut mounts, maps.as_ref(), has_user_namespace)?,
            maps,
            root: root(&bundle)?,
            sets: Sets::parse(process.capabilities.as_ref(), &mut warnings),
            filter,
            personality: personality(linux)?,
            memory: MemoryPolicy::of(linux)?,
            scheduling: Scheduling::parse(process.scheduler.as_ref(), process.io_priority.as_ref())?,
            labels: Labels::parse(process.apparmor_profile.as_deref(), process.selinux_label.as_deref())?,
            bundle,
            linux,
            process,
            options,
            namespaces,
            mounts,
            warnings,
        })
    }

    pub(crate) fn plan(&self) -> process::Plan<'_> {
        process::Plan {
            process: self.process,
            rlimits: &self.process.rlimits,
            sets: self.sets.clone(),
            filter: self.filter.as_ref(),
            personality: self.personality,
            memory: self.memory.as_ref(),
            die_with_parent: self.options.die_with_parent,
        }
    }

    /// Whether its processes are in a user namespace that is not the runtime's.
    pub(crate) fn has_user_namespace(&self) -> bool {
        self.namespaces.has(NamespaceKind::User)
    }

    /// The directories that the root is made from.
    pub(crate) fn root_directories(&self) -> Vec<&Path> {
        match &self.root {
            Root::Plain(path) => vec![path],
            Root::Directory { source, .. } => vec![source],
            Root::Union { union, anchors } => union.cloned(anchors),
        }
    }
}

/// A container's control group with the way in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Groups<'a> {
    pub(crate) cgroup: &'a Cgroup,
    pub(crate) entry: &'a Entry,
}

fn check_names(bundle: &Bundle<'_>, namespaces: &Namespaces) -> Result<()> {
    let spec = bundle.spec;
    for (name, value) in [("hostname", &spec.hostname), ("domainname", &spec.domainname)] {
        if value.as_ref().is_some_and(|value| !value.is_empty()) && !namespaces.has(NamespaceKind::Uts) {
            return Err(invalid(
                format!("invalid {name}"),
                "the container has no private UTS namespace, it would be the host's",
            ));
        }
    }
    if !namespaces.has(NamespaceKind::Mount) {
        return Err(invalid(
            format!("invalid specification of {}", bundle.id),
            "without a mount namespace its mounts would be the host's",
        ));
    }
    Ok(())
}

fn maps(linux: &Linux, namespaces: &Namespaces) -> Result<Option<IdMaps>> {
    if namespaces.makes(NamespaceKind::User) {
        return IdMaps::of_new(linux).map(Some);
    }
    match namespaces.joined_user() {
        Some(user) => IdMaps::of_joined(linux, user).map(Some),
        None => Ok(None),
    }
}

fn root<'a>(bundle: &Bundle<'a>) -> Result<Root<'a>> {
    match bundle.rootfs {
        Rootfs::Spec => {
            match bundle.spec.root.as_ref().map(|root| &root.path).filter(|path| !path.as_os_str().is_empty())
            {
                Some(path) => Ok(Root::Plain(bundle.path.join(path))),
                None => {
                    Err(invalid(format!("invalid specification of {}", bundle.id), "it has no root.path"))
                }
            }
        }
        Rootfs::Mount(Mount::Bind { source, read_only }) => {
            Ok(Root::Directory { source, read_only: *read_only })
        }
        Rootfs::Mount(Mount::Overlay { lower, upper, work }) => match (lower.as_slice(), upper, work) {
            // Overlay has no view of a single layer, and none is needed.
            ([source], None, _) => Ok(Root::Directory { source, read_only: true }),
            (lower, upper, work) => {
                let union = Union { lower, upper: upper.as_deref().zip(work.as_deref()) };
                Ok(Root::Union { anchors: union.anchors()?, union })
            }
        },
    }
}

pub(crate) fn personality(linux: &Linux) -> Result<Option<u32>> {
    let Some(personality) = &linux.personality else { return Ok(None) };
    if let Some(flag) = personality.flags.first() {
        return Err(invalid(format!("invalid personality flag {flag:?}"), "the specification has none yet"));
    }
    match personality.domain.as_str() {
        // linux/personality.h
        "LINUX" => Ok(Some(0)),
        "LINUX32" => Ok(Some(8)),
        domain => Err(invalid(format!("invalid personality {domain:?}"), "it must be LINUX or LINUX32")),
    }
}
