//! Which Debian packages are needed, for what, and why.

use crate::args::Group;

/// One package and its reason.
pub(crate) struct Package {
    /// Debian's name for it.
    pub(crate) name: &'static str,
    /// Who needs it.
    pub(crate) groups: &'static [Group],
    /// What it is for, shown before it is installed.
    pub(crate) why: &'static str,
}

use Group::{Bench, Demo, Test, Vm};

/// Every package that a verb of this tool may need.
pub(crate) const PACKAGES: &[Package] = &[
    Package {
        name: "busybox-static",
        groups: &[Demo, Test, Vm, Bench],
        why: "its one static program is the smallest image",
    },
    Package {
        name: "mmdebstrap",
        groups: &[Demo, Test, Vm],
        why: "makes Debian root file systems from this machine's own mirror",
    },
    Package { name: "openssh-client", groups: &[Demo, Test], why: "logs in to a system container" },
    Package {
        name: "iproute2",
        groups: &[Test, Bench],
        why: "`ip` makes the network namespaces that tests send their traffic from",
    },
    Package { name: "nftables", groups: &[Test], why: "`nft` shows the tests what is left in the firewall" },
    Package {
        name: "util-linux",
        groups: &[Test, Vm],
        why: "`setpriv`, `nsenter` and `unshare` for the tests",
    },
    Package {
        name: "e2fsprogs",
        groups: &[Test, Vm],
        why: "`mke2fs` makes disk images: the VM's, and small full ones",
    },
    Package {
        name: "strace",
        groups: &[Test],
        why: "makes system calls fail in turn, to test every error's way",
    },
    Package {
        name: "conmon",
        groups: &[Test],
        why: "drives our OCI runtime as podman and CRI-O have it driven",
    },
    Package {
        name: "patchelf",
        groups: &[Test],
        why: "ties runc and crun of a newer Debian to the libraries that come with them",
    },
    Package {
        name: "uidmap",
        groups: &[Test],
        why: "`newuidmap` gives an ordinary user's containers a range of ids",
    },
    Package { name: "qemu-system-x86", groups: &[Vm], why: "runs the cgroup v2 VM, without KVM" },
    Package { name: "crun", groups: &[Bench], why: "the fastest OCI runtime, to measure against" },
    Package { name: "runc", groups: &[Bench], why: "the reference OCI runtime, to measure against" },
    Package { name: "podman", groups: &[Bench], why: "an engine without a daemon, to measure against" },
    Package { name: "docker.io", groups: &[Bench], why: "the engine with a daemon, to measure against" },
    Package { name: "lxc", groups: &[Bench], why: "system containers, to measure against" },
];
