//! The state database: alerts, the execution log, rule state, the backlog of capped candidates, the
//! outbox of notifications.
//!
//! What it is: one SQLite file, `<data-dir>/state.sqlite`, written by one thread that puts what
//! becomes ready within [`commit::LINGER`] into one transaction, and so one synced write.
//! What it is not: aware of what a rule or an alert means; it keeps rows and documents.
//! Invariant: what a write call returned for is on disk; an execution, its alerts and the rule's
//! state are written together or not at all.

mod alerts;
mod backlog;
mod commit;
mod ephemeral;
mod executions;
mod forward;
mod lease;
mod local;
mod memory;
mod outbox;
mod retention;
mod rules;
mod schema;
mod seam;
mod silences;
mod triage;
mod turn;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

pub use alerts::{AlertQuery, AlertRow, AlertUpdate, Lookup, StoredAlert, WorkflowStatus, alerts_index};
pub use backlog::BacklogEntry;
pub use commit::{ExecutionCommit, LINGER};
pub use ephemeral::EphemeralState;
pub use executions::{BacklogCounts, ExecutionQuery, ExecutionRecord, Status, Timings};
pub use forward::{Forward, Pending, Queue};
pub use lease::{Lease, LeaseStore, Member, Version};
pub use local::LocalState;
pub use memory::Memory;
pub use outbox::{
    Burst, Delivery, DeliveryCount, DeliveryQuery, DeliveryState, Earlier, Hold, Kind, NewNotification,
    Routing, Settled, Undelivered, Verdict,
};
pub use retention::Removed;
pub use rules::RuleState;
pub use seam::{AlertSink, Created, StateStore};
pub use silences::Silence;
pub use triage::{HistoryEntry, Triage};
pub use turn::Turn;

/// Name of the file in the data folder.
pub const FILE: &str = "state.sqlite";
/// How long a statement waits for another process's write.
const BUSY: Duration = Duration::from_secs(10);
/// Idle read connections kept.
const READERS: usize = 4;

/// Why the state database could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The folder cannot be made or opened.
    #[error("cannot open the state database `{}`: {reason}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// Written by a later version.
    #[error(
        "the state database `{}` has format {found}, this version of tocsin knows up to {known}: use a newer tocsin, or another data folder",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known.
        known: i64,
    },
    /// No space left.
    #[error(
        "no space left on the disk of the state database: nothing of this write was kept, all earlier writes were"
    )]
    Full,
    /// SQLite refused.
    #[error("state database: {0}")]
    Sqlite(rusqlite::Error),
    /// A stored document cannot be read.
    #[error("state database: `{what}` is damaged: {reason}")]
    Damaged {
        /// Which row.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another runner has the rule now.
    #[error("rule `{rule}` was taken over by another runner: what this one did for it was not written")]
    Fenced {
        /// The rule's signature id.
        rule: String,
    },
    /// The writing thread ended.
    #[error("the state database is closed")]
    Closed,
    /// A write stopped in the middle; nothing of it was kept.
    #[error("a write to the state database failed and was undone: {0}")]
    Undone(String),
    /// A cluster that keeps state or alerts refused, or does not answer.
    #[error("{0}")]
    Remote(String),
}

impl From<rusqlite::Error> for StateError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            _ => Self::Sqlite(error),
        }
    }
}

/// The state database, open. Cheap to share by `Arc`; dropping the last one ends the writing
/// thread after everything it was given is on disk.
#[derive(Debug)]
pub struct StateDb {
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
    writer: commit::Committer,
    /// Clusters that get what becomes of alerts here.
    targets: OnceLock<Arc<[Arc<str>]>>,
    /// Decides what is told of alerts; none: nothing is.
    routing: RwLock<Option<Arc<dyn Routing>>>,
}

impl StateDb {
    /// Opens (and creates or migrates) the database in `dir`.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        let path = dir.join(FILE);
        let failed = |reason: String| StateError::Open { path: path.clone(), reason };
        std::fs::create_dir_all(dir).map_err(|e| failed(e.to_string()))?;
        let mut connection = Connection::open(&path).map_err(|e| failed(e.to_string()))?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(|e| failed(e.to_string()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.set_prepared_statement_cache_capacity(64);
        schema::migrate(&mut connection, &path)?;
        let writer = commit::Committer::start(connection).map_err(|e| failed(e.to_string()))?;
        Ok(Self {
            path,
            readers: Mutex::new(Vec::new()),
            writer,
            targets: OnceLock::new(),
            routing: RwLock::new(None),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From now on, new alerts and what people do about alerts are queued for the clusters
    /// `targets`, in the transaction that writes them. The first call decides.
    pub fn forward_to(&self, targets: Vec<Arc<str>>) {
        self.targets.get_or_init(|| targets.into());
    }

    fn targets(&self) -> Arc<[Arc<str>]> {
        self.targets.get().map_or_else(|| Arc::new([]) as Arc<[Arc<str>]>, Arc::clone)
    }

    /// Runs `read` on a connection of its own.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StateError>) -> Result<T, StateError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(&self.path, flags)?;
                connection.busy_timeout(BUSY)?;
                connection.set_prepared_statement_cache_capacity(64);
                connection
            }
        };
        let result = read(&connection);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS {
            readers.push(connection);
        }
        result
    }

    /// Has the writing thread run `write` in the next group; returns when the group is on disk.
    fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let output = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&output);
        self.writer.run(Box::new(move |connection| {
            let value = write(connection)?;
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            Ok(())
        }))?;
        let value = output.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.ok_or(StateError::Closed)
    }

    /// A value kept under `key`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn value(&self, key: &str) -> Result<Option<String>, StateError> {
        self.read(|c| {
            let mut statement = c.prepare_cached("SELECT value FROM key_value WHERE key = ?1")?;
            let mut rows = statement.query([key])?;
            Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
        })
    }

    /// Keeps a value under `key`; `None` forgets it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set_value(&self, key: &str, value: Option<&str>) -> Result<(), StateError> {
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
        self.write(move |c| {
            match value {
                Some(value) => {
                    c.execute("INSERT OR REPLACE INTO key_value (key, value) VALUES (?1, ?2)", [key, value])?
                }
                None => c.execute("DELETE FROM key_value WHERE key = ?1", [key])?,
            };
            Ok(())
        })
    }

    /// How many transactions were written since the database was opened.
    pub fn groups(&self) -> u64 {
        self.writer.groups()
    }
}

#[cfg(test)]
mod tests;
