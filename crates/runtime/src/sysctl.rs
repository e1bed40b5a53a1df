//! Kernel parameters of a container's namespaces (sysctl(8)).

use crate::{error::invalid, idmap::write_file, namespaces::Namespaces};
use sampan_types::{
    Result,
    spec::{Linux, NamespaceKind, Spec},
};

/// Parameters of the IPC namespace, beside `fs.mqueue.…`.
const IPC: [&str; 9] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
    "kernel.shm_next_id",
];

/// Refuses parameters that would change the host: those of no namespace, and those of one the container does not have.
pub(crate) fn check(spec: &Spec, linux: &Linux, namespaces: &Namespaces) -> Result<()> {
    for key in linux.sysctl.keys() {
        let refuse = |why: String| Err(invalid(format!("invalid sysctl {key:?}"), why));
        let name = key.replace('/', ".");
        if name.split('.').any(str::is_empty) {
            return refuse("it is no name of a parameter".into());
        }
        let kind = if IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.") {
            NamespaceKind::Ipc
        } else if name.starts_with("net.") {
            NamespaceKind::Network
        } else if name == "kernel.hostname" || name == "kernel.domainname" {
            NamespaceKind::Uts
        } else {
            return refuse("it is not in a separate kernel namespace".into());
        };
        if !namespaces.has(kind) {
            return refuse(format!("the container has no {} namespace", format!("{kind:?}").to_lowercase()));
        }
        if name == "kernel.hostname" && spec.hostname.is_some()
            || name == "kernel.domainname" && spec.domainname.is_some()
        {
            return refuse("it conflicts with the specification's own field".into());
        }
    }
    Ok(())
}

/// Sets them from inside the namespaces, through the host's `/proc`, which no image can have replaced.
pub(crate) fn apply(linux: &Linux) -> Result<()> {
    linux.sysctl.iter().try_for_each(|(key, value)| write_file(&path(key), value))
}

/// Dots separate, unless a slash comes first: then dots belong to names (`net/ipv4/conf/eth0.1/forwarding`).
fn path(key: &str) -> String {
    match key.find(['.', '/']).map(|at| &key[at..=at]) {
        Some("/") => format!("/proc/sys/{key}"),
        _ => {
            let swapped: String = key
                .chars()
                .map(|c| {
                    if c == '.' {
                        '/'
                    } else if c == '/' {
                        '.'
                    } else {
                        c
                    }
                })
                .collect();
            format!("/proc/sys/{swapped}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_types::spec::Namespace;

    #[test]
    fn only_the_container_s_own_parameters_are_set() {
        let linux = |key: &str| Linux {
            sysctl: [(key.to_owned(), "1".to_owned())].into(),
            namespaces: vec![Namespace { kind: NamespaceKind::Ipc, path: None }],
            ..Linux::default()
        };
        let try_check = |key: &str| {
            let linux = linux(key);
            check(&Spec::default(), &linux, &Namespaces::open(&linux).unwrap())
                .map_err(|error| error.causes().concat())
        };
        assert_eq!(try_check("kernel.shmmax"), Ok(()));
        assert_eq!(try_check("net.ipv4.ip_forward"), Err("the container has no network namespace".into()));
        assert_eq!(try_check("vm.swappiness"), Err("it is not in a separate kernel namespace".into()));
        assert_eq!(try_check("net..x"), Err("it is no name of a parameter".into()));
    }

    #[test]
    fn names_become_paths() {
        assert_eq!(path("net.ipv4.ip_forward"), "/proc/sys/net/ipv4/ip_forward");
        assert_eq!(path("net.ipv4.conf.eth0/1.forwarding"), "/proc/sys/net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(path("net/ipv4/conf/eth0.1/forwarding"), "/proc/sys/net/ipv4/conf/eth0.1/forwarding");
    }
}
