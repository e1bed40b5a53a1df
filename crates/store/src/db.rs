//! The database file and its transactions.
//!
//! Write-ahead logging with `synchronous=NORMAL`: a commit does not wait for the disk, a power cut may lose the last
//! ones but never damages the file (sqlite.org, "Write-Ahead Logging"). A command lives a few milliseconds, so opening
//! does the least: one system call's worth of configuration, one statement to read the schema's version.

use crate::{fault::Fault, schema};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, config::DbConfig};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long a statement waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(5);

/// Pages in the log before a commit copies them into the database. Small, since the first to open the database after
/// all others have closed it reads the whole log.
const CHECKPOINT_PAGES: i32 = 256;

/// One connection, used by one thread at a time.
#[derive(Debug)]
pub(crate) struct Db {
    connection: Mutex<State>,
}

#[derive(Debug)]
struct State {
    connection: Connection,
    /// Whether the settings that only matter to writers have been made.
    writes: bool,
}

impl Db {
    /// Opens `<root>/state.db`, makes it where absent and migrates it where old.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let path = root.join("state.db");
        let what = || format!("cannot open the records in {}", path.display());
        let connection = match connect(&path, false) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen) => {
                DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(|error| {
                    Error::io(format!("cannot make the directory {}", root.display()), error)
                })?;
                connect(&path, true)
            }
            opened => opened,
        };
        let mut connection = connection.map_err(|error| Fault::from(error).explain(&what()))?;
        let version = schema::version(&connection).map_err(|error| Fault::from(error).explain(&what()))?;
        if version > schema::LATEST {
            return Err(Error::new(ErrorKind::Unsupported, what())
                .because(format!(
                    "a newer sampan has written them (schema {version}; this one knows up to {})",
                    schema::LATEST
                ))
                .hint("use that newer sampan, or another directory with --root"));
        }
        if version < schema::LATEST {
            schema::migrate(&mut connection).map_err(|fault| fault.explain(&what()))?;
        }
        Ok(Self { connection: Mutex::new(State { connection, writes: false }) })
    }

    /// Runs `body` on one consistent state of the records.
    pub(crate) fn read<T>(
        &self,
        what: &str,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T> {
        let mut state = self.lock();
        run(&mut state.connection, TransactionBehavior::Deferred, body).map_err(|fault| fault.explain(what))
    }

    /// Runs `body` as the only writer; all of its changes happen, or none where it fails.
    pub(crate) fn write<T>(
        &self,
        what: &str,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T> {
        let mut state = self.lock();
        if !state.writes {
            prepare_to_write(&state.connection).map_err(|error| Fault::from(error).explain(what))?;
            state.writes = true;
        }
        run(&mut state.connection, TransactionBehavior::Immediate, body).map_err(|fault| fault.explain(what))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic within a transaction has rolled it back when it was dropped: the connection is sound.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(path: &Path, create: bool) -> rusqlite::Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    // The last one to close would copy the log into the database and wait for the disk.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn prepare_to_write(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(()))
}

fn run<T>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    body: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.transaction_with_behavior(behavior)?;
    let value = body(&transaction)?;
    transaction.commit()?;
    Ok(value)
}
