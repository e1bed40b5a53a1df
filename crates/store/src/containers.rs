//! Containers: the configured things.

use crate::{Store, endpoints, fault::Fault, lookup, ports};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use sampan_types::{
    ContainerConfig, ContainerId, ContainerName, ContainerRecord, Digest, EndpointRecord, Error, ErrorKind,
    ExitRecord, PortMapping, Result,
};
use serde::{Deserialize, Serialize};
use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What is reserved by [`Store::create_container`].
#[derive(Debug, Clone)]
pub struct NewContainer {
    /// Identity: see [`random_id`].
    pub id: ContainerId,
    /// Name, unique within the store.
    pub name: ContainerName,
    /// What was asked for. Its published ports are reserved where `network` is given; a host port of 0 is not.
    pub config: ContainerConfig,
    /// The image's manifest; it must be in the store, and stays while the container does.
    pub image_digest: Digest,
    /// The network to reserve an endpoint on.
    pub network: Option<String>,
    /// The address wanted there; the next free one where absent.
    pub ip: Option<IpAddr>,
}

/// The JSON column.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    version: u32,
    config: ContainerConfig,
    #[serde(default)]
    last_exit: Option<ExitRecord>,
}

impl Record {
    const VERSION: u32 = 1;
}

/// A new identity from the kernel's random numbers.
///
/// # Errors
/// [`ErrorKind::Internal`] where the kernel has no random numbers to give.
pub fn random_id() -> Result<ContainerId> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot get random numbers").because(error))?;
    Ok(ContainerId::from_bytes(bytes))
}

const SELECT: &str =
    "SELECT c.id, c.name, c.image_digest, c.created_at, c.record, e.network, e.ipv4, e.ipv6, e.mac
    FROM container c LEFT JOIN endpoint e ON e.container = c.id";

impl Store {
    /// Reserves id, name, address and host ports in one transaction.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where name, address or port is taken, naming the holder;
    /// [`ErrorKind::InvalidInput`] where the address is not one of the network's; [`ErrorKind::NotFound`] where the
    /// network or the image is gone; [`ErrorKind::Exhausted`] where the network has no address left.
    pub fn create_container(&self, new: NewContainer) -> Result<ContainerRecord> {
        let what = format!("cannot create container \"{}\"", new.name);
        self.db.write(&what, |tx| {
            name_is_free(tx, &new.name, &what)?;
            let image: Option<i64> = tx
                .prepare_cached("SELECT 1 FROM image WHERE digest = ?1")?
                .query_row([new.image_digest.as_str()], |row| row.get(0))
                .optional()?;
            if image.is_none() {
                return Err(Error::new(ErrorKind::NotFound, what.as_str())
                    .because(format!("its image {} has been removed", new.image_digest))
                    .into());
            }
            let created_at = SystemTime::now();
            let record = Record { version: Record::VERSION, config: new.config, last_exit: None };
            tx.prepare_cached(
                "INSERT INTO container (id, name, image_digest, created_at, record) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                new.id.as_str(),
                new.name.as_str(),
                new.image_digest.as_str(),
                nanoseconds(created_at),
                serde_json::to_string(&record)?
            ])?;
            let endpoint = match &new.network {
                Some(network) => {
                    ports::reserve(tx, &new.id, &record.config.ports)?;
                    Some(endpoints::reserve(tx, &new.id, network, new.ip)?)
                }
                None => None,
            };
            Ok(ContainerRecord {
                id: new.id,
                name: new.name,
                config: record.config,
                image_digest: new.image_digest,
                endpoint,
                created_at: from_nanoseconds(nanoseconds(created_at)),
                last_exit: None,
            })
        })
    }

    /// The container with this name, id, or unique beginning of an id, looked for in that order.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidInput`] where several ids begin so, naming them.
    pub fn container(&self, key: &str) -> Result<ContainerRecord> {
        self.db.read(&format!("cannot look up container {key}"), |tx| {
            let by_name = tx
                .prepare_cached(&format!("{SELECT} WHERE c.name = ?1"))?
                .query_row([key.strip_prefix('/').unwrap_or(key)], |row| Ok(read(row)))
                .optional()?;
            if let Some(found) = by_name {
                return found;
            }
            let mut found = Vec::new();
            if let Some((from, to)) = lookup::prefix_range(key) {
                let mut statement =
                    tx.prepare_cached(&format!("{SELECT} WHERE c.id >= ?1 AND c.id < ?2 LIMIT 9"))?;
                let mut rows = statement.query([from, to])?;
                while let Some(row) = rows.next()? {
                    found.push(read(row)?);
                }
            }
            let names = found.iter().map(|c| format!("{} ({})", c.id.short(), c.name)).collect();
            Ok(lookup::only_one("container", key, found, names)?)
        })
    }

    /// Every container, the youngest first.
    ///
    /// # Errors
    /// Only where the database fails or a record is damaged.
    pub fn containers(&self) -> Result<Vec<ContainerRecord>> {
        self.db.read("cannot list the containers", |tx| {
            let mut statement = tx.prepare_cached(&format!("{SELECT} ORDER BY c.created_at DESC, c.id"))?;
            let mut rows = statement.query([])?;
            let mut containers = Vec::new();
            while let Some(row) = rows.next()? {
                containers.push(read(row)?);
            }
            Ok(containers)
        })
    }

    /// Records how the container's last run ended.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the container is gone.
    pub fn set_exit(&self, id: &ContainerId, exit: &ExitRecord) -> Result<()> {
        self.change(id, "record the end of", |_, record| {
            record.last_exit = Some(exit.clone());
            Ok(())
        })
    }

    /// Replaces the published ports: those that were 0 have been chosen now.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where a port is taken, naming the holder; [`ErrorKind::NotFound`] where the
    /// container is gone.
    pub fn update_ports(&self, id: &ContainerId, ports: &[PortMapping]) -> Result<()> {
        self.change(id, "publish the ports of", |tx, record| {
            ports::release(tx, id)?;
            ports::reserve(tx, id, ports)?;
            record.config.ports = ports.to_vec();
            Ok(())
        })
    }

    /// Gives the container another name.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] where the name is taken; [`ErrorKind::NotFound`] where the container is gone.
    pub fn rename(&self, id: &ContainerId, name: &ContainerName) -> Result<()> {
        let what = format!("cannot rename container {} to \"{name}\"", id.short());
        self.db.write(&what, |tx| {
            name_is_free(tx, name, &what)?;
            let changed = tx
                .prepare_cached("UPDATE container SET name = ?2 WHERE id = ?1")?
                .execute([id.as_str(), name.as_str()])?;
            if changed == 0 { Err(lookup::no_such("container", id.short()).into()) } else { Ok(()) }
        })
    }

    /// Forgets the container; its name, address and ports are free again. No error where it is already gone.
    ///
    /// # Errors
    /// Only where the database fails.
    pub fn delete_container(&self, id: &ContainerId) -> Result<()> {
        self.db.write(&format!("cannot remove container {}", id.short()), |tx| {
            ports::release(tx, id)?;
            endpoints::release(tx, id)?;
            tx.prepare_cached("DELETE FROM container WHERE id = ?1")?.execute([id.as_str()])?;
            Ok(())
        })
    }

    /// Changes the JSON column of one container.
    fn change(
        &self,
        id: &ContainerId,
        verb: &str,
        edit: impl FnOnce(&Transaction<'_>, &mut Record) -> Result<(), Fault>,
    ) -> Result<()> {
        self.db.write(&format!("cannot {verb} container {}", id.short()), |tx| {
            let text: Option<String> = tx
                .prepare_cached("SELECT record FROM container WHERE id = ?1")?
                .query_row([id.as_str()], |row| row.get(0))
                .optional()?;
            let text = text.ok_or_else(|| lookup::no_such("container", id.short()))?;
            let mut record: Record = serde_json::from_str(&text)?;
            edit(tx, &mut record)?;
            tx.prepare_cached("UPDATE container SET record = ?2 WHERE id = ?1")?
                .execute([id.as_str(), &serde_json::to_string(&record)?])?;
            Ok(())
        })
    }
}

fn name_is_free(tx: &Transaction<'_>, name: &ContainerName, what: &str) -> Result<(), Fault> {
    let holder: Option<String> = tx
        .prepare_cached("SELECT id FROM container WHERE name = ?1")?
        .query_row([name.as_str()], |row| row.get(0))
        .optional()?;
    match holder {
        None => Ok(()),
        Some(id) => Err(Error::new(ErrorKind::AlreadyExists, what)
            .because(format!("the name is in use by container {}", lookup::short(&id)))
            .hint(format!("sampan rm {name}, or choose another --name"))
            .into()),
    }
}

fn read(row: &Row<'_>) -> Result<ContainerRecord, Fault> {
    let record: Record =
        serde_json::from_str(row.get_ref("record")?.as_str().map_err(rusqlite::Error::from)?)?;
    let network: Option<String> = row.get("network")?;
    let endpoint = match network {
        None => None,
        Some(network) => Some(EndpointRecord {
            network,
            ipv4: row.get::<_, u32>("ipv4")?.into(),
            ipv6: row
                .get::<_, Option<String>>("ipv6")?
                .map(|text| lookup::column("ipv6", &text))
                .transpose()?,
            mac: row.get("mac")?,
        }),
    };
    Ok(ContainerRecord {
        id: row.get::<_, String>("id")?.parse()?,
        name: row.get::<_, String>("name")?.parse()?,
        config: record.config,
        image_digest: row.get::<_, String>("image_digest")?.parse()?,
        endpoint,
        created_at: from_nanoseconds(row.get("created_at")?),
        last_exit: record.last_exit,
    })
}

/// A time as the tables have it; times before 1970 become 1970.
pub(crate) fn nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The reverse of [`nanoseconds`].
pub(crate) fn from_nanoseconds(nanoseconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds.max(0).unsigned_abs())
}
