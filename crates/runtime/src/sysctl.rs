//! Kernel parameters of a container's namespaces (sysctl(8)).

use crate::{error::invalid, namespaces::Namespaces, procfs::Proc};
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
            return refuse(format!("the container has no {kind} namespace"));
        }
        if kind == NamespaceKind::Network && namespaces.shares_network()? {
            return refuse("it is not allowed in the host's network namespace".into());
        }
        // The specification has a field for the host name; whatever order the two were set in, one would be lost.
        let set = |field: &Option<String>| field.as_ref().is_some_and(|text| !text.is_empty());
        match name.as_str() {
            "kernel.hostname" => return refuse("it conflicts with the specification's hostname".into()),
            "kernel.domainname" if set(&spec.domainname) => {
                return refuse("it conflicts with the specification's domainname".into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Sets them from inside the namespaces, through a `/proc` that no image can have replaced.
pub(crate) fn apply(linux: &Linux, proc: &Proc) -> Result<()> {
    linux.sysctl.iter().try_for_each(|(key, value)| proc.write(&path(key), value))
}

/// Dots separate, unless a slash comes first: then dots belong to names (`net/ipv4/conf/eth0.1/forwarding`).
fn path(key: &str) -> String {
    match key.find(['.', '/']).map(|at| &key[at..=at]) {
        Some("/") => format!("sys/{key}"),
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
            format!("sys/{swapped}")
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
        assert_eq!(try_check("fs/mqueue/msg_max"), Ok(()));
        assert_eq!(try_check("kernel.domainname"), Err("the container has no uts namespace".into()));
    }

    #[test]
    fn parameters_that_meet_a_field_or_the_host_are_refused() {
        let namespace = |kind, path: &str| Namespace {
            kind,
            path: Some(path.into()).filter(|path: &std::path::PathBuf| !path.as_os_str().is_empty()),
        };
        let linux = Linux {
            namespaces: vec![
                namespace(NamespaceKind::Uts, ""),
                namespace(NamespaceKind::Network, "/proc/self/ns/net"),
            ],
            ..Linux::default()
        };
        let namespaces = Namespaces::open(&linux).unwrap();
        let try_check = |key: &str, domainname: &str| {
            let linux = Linux { sysctl: [(key.to_owned(), "1".to_owned())].into(), ..linux.clone() };
            let spec = Spec { domainname: Some(domainname.into()), ..Spec::default() };
            check(&spec, &linux, &namespaces).map_err(|error| error.causes().concat())
        };
        assert_eq!(try_check("kernel.domainname", ""), Ok(()));
        assert_eq!(
            try_check("kernel.domainname", "d"),
            Err("it conflicts with the specification's domainname".into())
        );
        assert_eq!(
            try_check("kernel.hostname", ""),
            Err("it conflicts with the specification's hostname".into())
        );
        assert_eq!(
            try_check("net.ipv4.ip_forward", ""),
            Err("it is not allowed in the host's network namespace".into())
        );
    }

    #[test]
    fn names_become_paths() {
        assert_eq!(path("net.ipv4.ip_forward"), "sys/net/ipv4/ip_forward");
        assert_eq!(path("net.ipv4.conf.eth0/1.forwarding"), "sys/net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(path("net/ipv4/conf/eth0.1/forwarding"), "sys/net/ipv4/conf/eth0.1/forwarding");
    }
}
