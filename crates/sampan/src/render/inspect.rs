//! A container as `docker inspect` shows it, with what Sampan has beyond that.

use sampan_types::{NetworkMode, Userns, ops::ContainerDetails};
use serde_json::{Map, Value, json};
use std::time::SystemTime;

/// The time that Go's zero value is written as: "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

/// One element of `inspect`'s array.
pub(crate) fn container(details: &ContainerDetails) -> Value {
    let record = &details.record;
    let config = &record.config;
    let (path, args) = details.args.split_first().map_or(("", &[][..]), |(path, args)| (path.as_str(), args));
    json!({
        "Id": record.id,
        "Name": format!("/{}", record.name),
        "Type": config.container_type,
        "Created": time(Some(record.created_at)),
        "Path": path,
        "Args": args,
        "Image": record.image_digest,
        "State": state(details),
        "LogPath": details.log,
        "RestartCount": details.restarts,
        "Platform": "linux",
        "Driver": "overlay",
        "Config": {
            "Hostname": config.hostname,
            "User": config.user.clone().unwrap_or_default(),
            "Tty": config.tty,
            "OpenStdin": config.stdin_open,
            "Env": config.env.iter().map(|variable| match &variable.value {
                Some(value) => format!("{}={value}", variable.key),
                None => variable.key.clone(),
            }).collect::<Vec<_>>(),
            "Cmd": config.command,
            "Entrypoint": config.entrypoint,
            "Image": config.image,
            "WorkingDir": config.working_dir,
            "Labels": config.labels,
            "StopSignal": config.stop_signal,
        },
        "HostConfig": {
            "AutoRemove": config.auto_remove,
            "NetworkMode": config.network.to_string(),
            "Memory": config.resources.memory.map_or(0, |memory| memory.0),
            "NanoCpus": config.resources.cpus.map_or(0, |cpus| u64::from(cpus.0) * 1_000_000),
            "PidsLimit": config.resources.pids,
            "UsernsMode": if config.userns == Userns::Host { "host" } else { "" },
            "Binds": config.volumes.iter().map(|volume| {
                let mode = if volume.read_only { ":ro" } else { "" };
                format!("{}:{}{mode}", volume.source.display(), volume.target.display())
            }).collect::<Vec<_>>(),
            "PortBindings": ports(details),
        },
        "Mounts": config.volumes.iter().map(|volume| json!({
            "Type": "bind",
            "Source": volume.source,
            "Destination": volume.target,
            "RW": !volume.read_only,
            "Propagation": "rprivate",
        })).collect::<Vec<_>>(),
        "UserNamespace": details.id_base.map(|first| json!({ "FirstId": first, "Count": 65_536 })),
        "NetworkSettings": network(details),
    })
}

fn state(details: &ContainerDetails) -> Value {
    let running = details.pid.is_some();
    let exit = details.record.last_exit.as_ref().filter(|_| !running);
    json!({
        "Status": details.state,
        "Running": running,
        "Paused": false,
        "Restarting": false,
        "OOMKilled": exit.is_some_and(|exit| exit.oom_killed),
        "Dead": false,
        "Pid": details.pid.unwrap_or(0),
        "ExitCode": exit.map_or(0, |exit| exit.code),
        "Error": exit.and_then(|exit| exit.error.clone()).unwrap_or_default(),
        "StartedAt": time(details.started_at.or(exit.and_then(|exit| exit.started_at))),
        "FinishedAt": time(exit.map(|exit| exit.finished_at)),
    })
}

fn network(details: &ContainerDetails) -> Value {
    let record = &details.record;
    let endpoint = record.endpoint.as_ref();
    let address = json!({
        "IPAddress": endpoint.map(|endpoint| endpoint.ipv4.to_string()).unwrap_or_default(),
        "IPPrefixLen": details.prefix_length.unwrap_or(0),
        "Gateway": details.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
        "GlobalIPv6Address": endpoint.and_then(|endpoint| endpoint.ipv6).map(|ip| ip.to_string()).unwrap_or_default(),
        "MacAddress": endpoint.map(|endpoint| endpoint.mac.map(|byte| format!("{byte:02x}")).join(":")).unwrap_or_default(),
    });
    let mut settings = address.as_object().cloned().unwrap_or_default();
    settings.insert("Ports".into(), ports(details));
    let name = match record.config.network {
        NetworkMode::Bridge => endpoint.map_or("bridge".to_owned(), |endpoint| endpoint.network.clone()),
        ref other => other.to_string(),
    };
    settings.insert("Networks".into(), Value::Object(Map::from_iter([(name, address)])));
    Value::Object(settings)
}

/// `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}`
fn ports(details: &ContainerDetails) -> Value {
    let mut ports = Map::new();
    for port in &details.record.config.ports {
        let key = format!("{}/{}", port.container_port, port.protocol);
        let host_ip = port.host_ip.map_or("0.0.0.0".to_owned(), |ip| ip.to_string());
        let binding = json!({ "HostIp": host_ip, "HostPort": port.host_port.to_string() });
        if let Value::Array(bindings) = ports.entry(key).or_insert_with(|| json!([])) {
            bindings.push(binding);
        }
    }
    Value::Object(ports)
}

fn time(time: Option<SystemTime>) -> String {
    match time.map(jiff::Timestamp::try_from) {
        Some(Ok(time)) => format!("{time:.9}"),
        _ => NEVER.to_owned(),
    }
}
