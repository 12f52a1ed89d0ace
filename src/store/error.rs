//! What can go wrong with stored events.

use std::path::{Path, PathBuf};

use super::batch::ReadError;

/// Why the event store could not do something. Nothing acknowledged before is lost by any of them.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder could not be read or written.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The disk is full.
    #[error(
        "no space left to write `{path}`, without which the store can neither be read nor written; nothing stored before is lost: free disk space or lower `[store] retention`, then try again"
    )]
    Full {
        /// The file being written.
        path: PathBuf,
    },
    /// The manifest database failed.
    #[error("the event database `{path}` failed: {reason}")]
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// Other processes kept the database locked for too long.
    #[error("the event database `{path}` was locked by another process for too long; try again")]
    Busy {
        /// The database file.
        path: PathBuf,
    },
    /// The folder was written by a newer version.
    #[error(
        "the data folder `{path}` has format {found}, this version of tocsin reads up to {known}; upgrade tocsin or use another `--data-dir`"
    )]
    Newer {
        /// The data folder.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// A segment could not be written or understood.
    #[error("segment `{path}`: {reason}")]
    Segment {
        /// The segment's file.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// An event cannot be stored.
    #[error("event `{id}` of index `{index}` cannot be stored: {reason}")]
    Event {
        /// Its index.
        index: String,
        /// Its `_id`.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A mapping cannot be used.
    #[error("mapping of index `{index}`: {reason}")]
    Mapping {
        /// The index.
        index: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Stored events could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl StoreError {
    /// Whether trying the same again later may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Busy { .. })
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        if is_full(&source) {
            return Self::Full { path: path.to_owned() };
        }
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path: path.to_owned() },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path: path.to_owned() },
            // SQLite knows one error of writing as a full disk and calls the others I/O.
            Some(ErrorCode::SystemIoFailure) if takes_nothing(path) => Self::Full { path: path.to_owned() },
            _ => Self::Database { path: path.to_owned(), reason: error.to_string() },
        }
    }

    pub(crate) fn parquet(path: &Path, error: &parquet::errors::ParquetError) -> Self {
        if let parquet::errors::ParquetError::External(inner) = error
            && let Some(io) = inner.downcast_ref::<std::io::Error>()
            && is_full(io)
        {
            return Self::Full { path: path.to_owned() };
        }
        Self::Segment { path: path.to_owned(), reason: error.to_string() }
    }
}

/// Whether not even a small file can be written beside `path`.
fn takes_nothing(path: &Path) -> bool {
    let probe = path.with_extension(format!("probe-{}", std::process::id()));
    let written = std::fs::write(&probe, vec![0; 64 * 1024]);
    drop(std::fs::remove_file(&probe));
    written.is_err_and(|error| is_full(&error))
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

impl StoreError {
    /// The same error for another caller that waited for the same commit.
    pub(crate) fn clone_of(error: &Self) -> Self {
        match error {
            Self::Full { path } => Self::Full { path: path.clone() },
            Self::Busy { path } => Self::Busy { path: path.clone() },
            Self::Database { path, reason } => Self::Database { path: path.clone(), reason: reason.clone() },
            Self::Read(error) => {
                Self::Read(ReadError { batch: error.batch.clone(), reason: error.reason.clone() })
            }
            other => Self::Database { path: PathBuf::new(), reason: other.to_string() },
        }
    }
}
