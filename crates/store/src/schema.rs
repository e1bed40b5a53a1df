//! The tables, as numbered migrations. A migration that has been released is never changed.

use crate::fault::Fault;
use rusqlite::{Connection, TransactionBehavior};
use sampan_types::Result;

/// What this engine writes: the number of migrations.
pub(crate) const LATEST: u32 = MIGRATIONS.len() as u32;

/// Columns are what is queried; `record` is JSON with its own `version` for the rest. Times are nanoseconds since 1970.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE image (
        digest     TEXT PRIMARY KEY,
        id         TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        size       INTEGER NOT NULL,
        -- Snapshot key of the topmost layer, once every layer has been unpacked.
        unpacked   TEXT,
        record     TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX image_id ON image (id);
    CREATE TABLE tag (
        reference TEXT PRIMARY KEY,
        digest    TEXT NOT NULL REFERENCES image (digest)
    ) WITHOUT ROWID;
    CREATE INDEX tag_digest ON tag (digest);

    CREATE TABLE container (
        id           TEXT PRIMARY KEY,
        name         TEXT NOT NULL UNIQUE,
        image_digest TEXT NOT NULL REFERENCES image (digest),
        created_at   INTEGER NOT NULL,
        record       TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX container_image ON container (image_digest);

    CREATE TABLE network (
        name     TEXT PRIMARY KEY,
        subnet   TEXT NOT NULL,
        gateway  TEXT NOT NULL,
        subnet6  TEXT,
        gateway6 TEXT,
        -- The IPv4 address given out last, as a number: the search for the next one begins behind it.
        last     INTEGER NOT NULL,
        record   TEXT NOT NULL
    ) WITHOUT ROWID;
    -- The IPv4 addresses nobody has, as ranges that neither touch nor overlap.
    CREATE TABLE free_range (
        network TEXT NOT NULL REFERENCES network (name),
        first   INTEGER NOT NULL,
        last    INTEGER NOT NULL,
        PRIMARY KEY (network, first)
    ) WITHOUT ROWID;
    CREATE TABLE endpoint (
        container TEXT PRIMARY KEY REFERENCES container (id),
        network   TEXT NOT NULL REFERENCES network (name),
        ipv4      INTEGER NOT NULL,
        ipv6      TEXT,
        mac       BLOB NOT NULL,
        UNIQUE (network, ipv4),
        UNIQUE (network, ipv6)
    ) WITHOUT ROWID;
    CREATE TABLE port (
        protocol  TEXT NOT NULL,
        port      INTEGER NOT NULL,
        -- Empty for every address of the host.
        ip        TEXT NOT NULL,
        container TEXT NOT NULL REFERENCES container (id),
        PRIMARY KEY (protocol, port, ip)
    ) WITHOUT ROWID;
    CREATE INDEX port_container ON port (container);
"];

/// How many migrations the database has had.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Applies the missing migrations, all or none; another process may be doing the same.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), Fault> {
    // Outside of a transaction, and remembered in the file.
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = version(&transaction)?;
    for migration in MIGRATIONS.iter().skip(done as usize) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", LATEST.max(done))?;
    transaction.commit()?;
    Ok(())
}
