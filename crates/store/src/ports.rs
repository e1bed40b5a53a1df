//! Published ports of the host: each belongs to one container.

use crate::{fault::Fault, lookup};
use rusqlite::{Transaction, params};
use sampan_types::{ContainerId, Error, ErrorKind, PortMapping, Result};
use std::net::IpAddr;

/// Reserves every host port of `ports` that is not 0.
pub(crate) fn reserve(
    tx: &Transaction<'_>,
    container: &ContainerId,
    ports: &[PortMapping],
) -> Result<(), Fault> {
    for port in ports.iter().filter(|port| port.host_port != 0) {
        if let Some((name, id)) = holder(tx, port)? {
            return Err(taken(container, port, &name, &id).into());
        }
        tx.prepare_cached("INSERT INTO port (protocol, port, ip, container) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                port.protocol.to_string(),
                port.host_port,
                port.host_ip.map(|ip| ip.to_string()).unwrap_or_default(),
                container.as_str()
            ])?;
    }
    Ok(())
}

/// Gives back every port of the container.
pub(crate) fn release(tx: &Transaction<'_>, container: &ContainerId) -> Result<(), Fault> {
    tx.prepare_cached("DELETE FROM port WHERE container = ?1")?.execute([container.as_str()])?;
    Ok(())
}

/// Name and id of the container that has this port on an overlapping address.
fn holder(tx: &Transaction<'_>, wanted: &PortMapping) -> Result<Option<(String, String)>, Fault> {
    let mut statement = tx.prepare_cached(
        "SELECT p.ip, c.name, c.id FROM port p JOIN container c ON c.id = p.container
         WHERE p.protocol = ?1 AND p.port = ?2",
    )?;
    let mut rows = statement.query(params![wanted.protocol.to_string(), wanted.host_port])?;
    while let Some(row) = rows.next()? {
        let ip: String = row.get(0)?;
        let ip = if ip.is_empty() { None } else { Some(lookup::column("ip", &ip)?) };
        if overlap(ip, wanted.host_ip) {
            return Ok(Some((row.get(1)?, row.get(2)?)));
        }
    }
    Ok(None)
}

/// Whether some packet could be meant for both: `None` is every address, `0.0.0.0` and `::` every one of their family.
fn overlap(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    match (one, other) {
        (None, _) | (_, None) => true,
        (Some(one), Some(other)) => {
            one == other
                || (one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified()))
        }
    }
}

fn taken(container: &ContainerId, port: &PortMapping, name: &str, id: &str) -> Error {
    let what = format!("cannot publish port {}/{}", port.host_port, port.protocol);
    let error = Error::new(ErrorKind::AlreadyExists, what);
    if id == container.as_str() {
        return error.because("it is asked for twice").hint("one -p for each port of the host");
    }
    error.because(format!("it is published by container {name} ({})", lookup::short(id))).hint(format!(
        "another host port, as in -p {}:{}, or sampan rm -f {name}",
        port.host_port.saturating_add(8000).max(1024),
        port.container_port
    ))
}
