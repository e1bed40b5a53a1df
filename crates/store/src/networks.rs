//! Networks, with the address ranges that endpoints are taken from.

use crate::{Store, endpoints, lookup};
use ipnet::{Ipv4Net, Ipv6Net};
use rusqlite::{OptionalExtension, params};
use sampan_types::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A network: its address plan, and whatever else its driver wants kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRecord {
    /// Name, unique within the store.
    pub name: String,
    /// The IPv4 addresses endpoints get theirs from.
    pub subnet: Ipv4Net,
    /// The host's IPv4 address there; no endpoint gets it.
    pub gateway: Ipv4Addr,
    /// The IPv6 addresses, at least a /96: an endpoint's IPv6 address ends in its IPv4 address.
    pub subnet6: Option<Ipv6Net>,
    /// The host's IPv6 address there.
    pub gateway6: Option<Ipv6Addr>,
    /// The rest, as the caller wants it back.
    pub record: serde_json::Value,
}

impl Store {
    /// The network with this name, if there is one.
    ///
    /// # Errors
    /// Only where the database fails or the record is damaged.
    pub fn network(&self, name: &str) -> Result<Option<NetworkRecord>> {
        self.db.read(&format!("cannot look up network {name}"), |tx| {
            let found = tx
                .prepare_cached(
                    "SELECT subnet, gateway, subnet6, gateway6, record FROM network WHERE name = ?1",
                )?
                .query_row([name], |row| {
                    let optional = |column: &str| row.get::<_, Option<String>>(column);
                    let text: String = row.get("record")?;
                    let network = NetworkRecord {
                        name: name.to_owned(),
                        subnet: lookup::column("subnet", &row.get::<_, String>("subnet")?)?,
                        gateway: lookup::column("gateway", &row.get::<_, String>("gateway")?)?,
                        subnet6: optional("subnet6")?
                            .map(|text| lookup::column("subnet6", &text))
                            .transpose()?,
                        gateway6: optional("gateway6")?
                            .map(|text| lookup::column("gateway6", &text))
                            .transpose()?,
                        record: serde_json::Value::Null,
                    };
                    Ok((network, text))
                })
                .optional()?;
            match found {
                None => Ok(None),
                Some((network, text)) => {
                    Ok(Some(NetworkRecord { record: serde_json::from_str(&text)?, ..network }))
                }
            }
        })
    }

    /// Adds a network; all addresses of its subnet but the first, the last and the gateway's become free to take.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`]; [`ErrorKind::InvalidInput`] where a subnet is too small or has not its gateway.
    pub fn insert_network(&self, network: &NetworkRecord) -> Result<()> {
        let what = format!("cannot create network {}", network.name);
        let refuse = |why: String| Err(Error::new(ErrorKind::InvalidInput, what.as_str()).because(why));
        let subnet = network.subnet.trunc();
        if subnet.prefix_len() > 30 {
            return refuse(format!("the subnet {subnet} has no room for a gateway and an endpoint"));
        }
        if !subnet.contains(&network.gateway) {
            return refuse(format!("the gateway {} is not in the subnet {subnet}", network.gateway));
        }
        if let Some(subnet6) = network.subnet6.filter(|subnet6| subnet6.prefix_len() > 96) {
            return refuse(format!("the subnet {subnet6} is smaller than a /96"));
        }
        self.db.write(&what, |tx| {
            let inserted = tx.execute(
                "INSERT OR IGNORE INTO network (name, subnet, gateway, subnet6, gateway6, last, record)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    network.name,
                    subnet.to_string(),
                    network.gateway.to_string(),
                    network.subnet6.map(|subnet6| subnet6.trunc().to_string()),
                    network.gateway6.map(|gateway6| gateway6.to_string()),
                    u32::from(subnet.network()),
                    serde_json::to_string(&network.record)?
                ],
            )?;
            if inserted == 0 {
                return Err(Error::new(ErrorKind::AlreadyExists, what.as_str())
                    .because("a network has this name")
                    .into());
            }
            endpoints::open_ranges(tx, &network.name, subnet, network.gateway)
        })
    }
}
