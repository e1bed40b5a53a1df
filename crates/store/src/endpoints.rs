//! Addresses of containers on networks.
//!
//! What is free is kept as ranges in `free_range`, so that finding the next address takes two look-ups in an index
//! however many are taken. The search begins behind the address given out last: one that has just come free is given
//! out again only after all others have been, and caches of neighbours and names have long forgotten it.

use crate::{fault::Fault, lookup};
use ipnet::{Ipv4Net, Ipv6Net};
use rusqlite::{OptionalExtension, Transaction, params};
use sampan_types::{ContainerId, EndpointRecord, Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Makes all of a new network's addresses free but those of the network itself, its broadcast and its gateway.
pub(crate) fn open_ranges(
    tx: &Transaction<'_>,
    network: &str,
    subnet: Ipv4Net,
    gateway: Ipv4Addr,
) -> Result<(), Fault> {
    let (first, last) = (u32::from(subnet.network()) + 1, u32::from(subnet.broadcast()) - 1);
    let gateway = u32::from(gateway);
    for (first, last) in
        [(first, last.min(gateway.saturating_sub(1))), (first.max(gateway.saturating_add(1)), last)]
    {
        if first <= last {
            insert(tx, network, first, last)?;
        }
    }
    Ok(())
}

/// Gives `container` its place on `network`: the address it wants, or the next free one.
pub(crate) fn reserve(
    tx: &Transaction<'_>,
    container: &ContainerId,
    network: &str,
    wanted: Option<IpAddr>,
) -> Result<EndpointRecord, Fault> {
    let plan: Option<(String, Option<String>, u32)> = tx
        .prepare_cached("SELECT subnet, subnet6, last FROM network WHERE name = ?1")?
        .query_row([network], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (subnet, subnet6, last) = plan.ok_or_else(|| lookup::no_such("network", network))?;
    let subnet: Ipv4Net = lookup::column("subnet", &subnet)?;
    let subnet6: Option<Ipv6Net> = subnet6.map(|text| lookup::column("subnet6", &text)).transpose()?;

    let ipv4 = match wanted {
        Some(IpAddr::V4(address)) => take_wanted(tx, network, subnet, address)?,
        _ => take_next(tx, network, subnet, last)?,
    };
    let ipv6 = match (wanted, subnet6) {
        (Some(IpAddr::V6(address)), subnet6) => Some(wanted6(tx, network, subnet6, address)?),
        (_, Some(subnet6)) => Some(with_suffix(subnet6, ipv4)),
        (_, None) => None,
    };
    let mac = mac(container);
    tx.prepare_cached(
        "INSERT INTO endpoint (container, network, ipv4, ipv6, mac) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        container.as_str(),
        network,
        u32::from(ipv4),
        ipv6.map(|address| address.to_string()),
        mac
    ])?;
    Ok(EndpointRecord { network: network.to_owned(), ipv4, ipv6, mac })
}

/// Gives the container's address back.
pub(crate) fn release(tx: &Transaction<'_>, container: &ContainerId) -> Result<(), Fault> {
    let held: Option<(String, u32)> = tx
        .prepare_cached("DELETE FROM endpoint WHERE container = ?1 RETURNING network, ipv4")?
        .query_row([container.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((network, address)) = held else { return Ok(()) };
    // Joined with the neighbouring ranges, so that there is one range a gap.
    let before = range_at(tx, &network, address.saturating_sub(1))?;
    let after = range_at(tx, &network, address.saturating_add(1))?;
    for range in [before, after].into_iter().flatten() {
        remove(tx, &network, range.0)?;
    }
    insert(tx, &network, before.map_or(address, |range| range.0), after.map_or(address, |range| range.1))
}

fn take_wanted(
    tx: &Transaction<'_>,
    network: &str,
    subnet: Ipv4Net,
    address: Ipv4Addr,
) -> Result<Ipv4Addr, Fault> {
    if !subnet.contains(&address) {
        return Err(outside(network, address.into(), &subnet.to_string()).into());
    }
    match range_at(tx, network, address.into())? {
        Some(range) => take(tx, network, range, address.into()).map(|()| address),
        None => Err(taken(tx, network, "ipv4", address.into(), &u32::from(address))?.into()),
    }
}

fn take_next(tx: &Transaction<'_>, network: &str, subnet: Ipv4Net, last: u32) -> Result<Ipv4Addr, Fault> {
    let from = last.saturating_add(1);
    let range = match range_at(tx, network, from)? {
        Some((first, end)) => Some(((first, end), from)),
        // The next range behind, or else, round the end, the first of all.
        None => tx
            .prepare_cached(
                "SELECT first, last FROM free_range WHERE network = ?1 ORDER BY first < ?2, first LIMIT 1",
            )
            .and_then(|mut statement| {
                statement.query_row(params![network, from], |row| Ok((row.get(0)?, row.get(1)?))).optional()
            })?
            .map(|range: (u32, u32)| (range, range.0)),
    };
    let Some((range, address)) = range else {
        return Err(Error::new(ErrorKind::Exhausted, format!("network {network} has no free address"))
            .because(format!("all of {subnet} are in use"))
            .hint("sampan rm containers that are no longer needed")
            .into());
    };
    take(tx, network, range, address)?;
    tx.prepare_cached("UPDATE network SET last = ?2 WHERE name = ?1")?.execute(params![network, address])?;
    Ok(address.into())
}

/// Takes one address out of its free range.
fn take(tx: &Transaction<'_>, network: &str, (first, last): (u32, u32), address: u32) -> Result<(), Fault> {
    remove(tx, network, first)?;
    if first < address {
        insert(tx, network, first, address - 1)?;
    }
    if address < last {
        insert(tx, network, address + 1, last)?;
    }
    Ok(())
}

/// The free range that has the address.
fn range_at(tx: &Transaction<'_>, network: &str, address: u32) -> Result<Option<(u32, u32)>, Fault> {
    let range: Option<(u32, u32)> = tx
        .prepare_cached(
            "SELECT first, last FROM free_range WHERE network = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1",
        )?
        .query_row(params![network, address], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(range.filter(|range| address <= range.1))
}

fn insert(tx: &Transaction<'_>, network: &str, first: u32, last: u32) -> Result<(), Fault> {
    tx.prepare_cached("INSERT INTO free_range (network, first, last) VALUES (?1, ?2, ?3)")?
        .execute(params![network, first, last])?;
    Ok(())
}

fn remove(tx: &Transaction<'_>, network: &str, first: u32) -> Result<(), Fault> {
    tx.prepare_cached("DELETE FROM free_range WHERE network = ?1 AND first = ?2")?
        .execute(params![network, first])?;
    Ok(())
}

fn wanted6(
    tx: &Transaction<'_>,
    network: &str,
    subnet6: Option<Ipv6Net>,
    address: Ipv6Addr,
) -> Result<Ipv6Addr, Fault> {
    let Some(subnet6) = subnet6 else {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("cannot give a container the address {address}"),
        )
        .because(format!("network {network} has no IPv6"))
        .into());
    };
    if !subnet6.contains(&address) {
        return Err(outside(network, address.into(), &subnet6.to_string()).into());
    }
    let text = address.to_string();
    let is_gateway = tx
        .prepare_cached("SELECT 1 FROM network WHERE name = ?1 AND gateway6 = ?2")?
        .exists([network, &text])?;
    let is_taken = tx
        .prepare_cached("SELECT 1 FROM endpoint WHERE network = ?1 AND ipv6 = ?2")?
        .exists([network, &text])?;
    if is_gateway || is_taken || address == subnet6.network() {
        return Err(taken(tx, network, "ipv6", address.into(), &text)?.into());
    }
    Ok(address)
}

/// The subnet's prefix with the IPv4 address as its last 32 bits: as unique as that, and readable.
fn with_suffix(subnet6: Ipv6Net, ipv4: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(subnet6.network()) | u128::from(u32::from(ipv4)))
}

/// From the random id, with the bits for "locally administered" set and "group" cleared (IEEE 802, clause 8.2).
fn mac(container: &ContainerId) -> [u8; 6] {
    let digits = container.as_str();
    let byte = |at: usize| u8::from_str_radix(digits.get(at * 2..at * 2 + 2).unwrap_or("0"), 16).unwrap_or(0);
    [(byte(0) & 0xfc) | 0x02, byte(1), byte(2), byte(3), byte(4), byte(5)]
}

fn outside(network: &str, address: IpAddr, subnet: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("cannot give a container the address {address}"))
        .because(format!("it is not in {subnet}, the subnet of network {network}"))
        .hint(format!("--ip with an address of {subnet}"))
}

/// The error for an address in use: by a container, or by the network itself.
fn taken(
    tx: &Transaction<'_>,
    network: &str,
    column: &str,
    address: IpAddr,
    value: &dyn rusqlite::ToSql,
) -> Result<Error, Fault> {
    let holder: Option<(String, String)> = tx
        .prepare_cached(&format!(
            "SELECT c.name, c.id FROM endpoint e JOIN container c ON c.id = e.container
             WHERE e.network = ?1 AND e.{column} = ?2"
        ))?
        .query_row(params![network, value], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let error =
        Error::new(ErrorKind::AlreadyExists, format!("cannot give a container the address {address}"));
    Ok(match holder {
        Some((name, id)) => error
            .because(format!("it is in use by container {name} ({})", lookup::short(&id)))
            .hint("another --ip, or none to get the next free one"),
        None => error
            .because(format!("network {network} keeps it for itself"))
            .hint("another --ip, or none to get the next free one"),
    })
}
