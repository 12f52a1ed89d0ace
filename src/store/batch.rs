//! What the store hands to those who search: immutable batches of events as columns.

use std::sync::Arc;

use crate::ecs::columns::{Column, ColumnSet};
use crate::ecs::document::{Document, ID, INDEX};

/// Why a batch could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read events of `{batch}`: {reason}")]
pub struct ReadError {
    /// The batch (a segment's file or the hot rows).
    pub batch: String,
    /// What happened.
    pub reason: String,
}

/// No time known: [`Batch::ingested`] of an event without `event.ingested`.
pub const NO_TIME: i64 = i64::MIN;

/// An immutable run of events of one index, sorted by (`@timestamp`, sequence).
pub trait Batch: Send + Sync {
    /// Identity: the same key always means the same rows, so results about it may be remembered.
    fn key(&self) -> u64;
    /// The concrete index.
    fn index(&self) -> &Arc<str>;
    /// Number of events.
    fn rows(&self) -> usize;
    /// Smallest and largest `@timestamp`, ms since the epoch.
    fn timestamp_bounds(&self) -> (i64, i64);
    /// Smallest and largest `event.ingested`, ms; (`NO_TIME`, `NO_TIME`) when none has one.
    fn ingested_bounds(&self) -> (i64, i64);
    /// `@timestamp` of each row, ms since the epoch, ascending.
    fn timestamps(&self) -> Result<Arc<[i64]>, ReadError>;
    /// `event.ingested` of each row, ms; [`NO_TIME`] where it is missing.
    fn ingested(&self) -> Result<Arc<[i64]>, ReadError>;
    /// All paths with values, sorted (a flattened object's keys are not among them, its root is).
    fn paths(&self) -> Arc<[Arc<str>]>;
    /// Whether some row may have exactly `text` in the column `path` (of a flattened object:
    /// `key\0text`). `true` where the batch cannot tell without reading it.
    fn may_have(&self, path: &str, text: &str) -> bool {
        let _ = (path, text);
        true
    }
    /// The columns of `paths` that exist, decoded (and cached, bounded).
    fn columns(&self, paths: &[Arc<str>]) -> Result<ColumnSet, ReadError>;
    /// [`Batch::columns`], with those of [`ID`] and [`INDEX`] where they are among `paths`.
    fn named_columns(&self, paths: &[Arc<str>]) -> Result<ColumnSet, ReadError> {
        let mut columns = self.columns(paths)?;
        for path in paths {
            let (dictionary, codes) = match &**path {
                ID => {
                    let rows: Vec<u32> = (0..u32::try_from(self.rows()).unwrap_or(u32::MAX)).collect();
                    (self.ids(&rows)?.iter().map(|id| Box::from(&**id)).collect(), rows)
                }
                INDEX => (vec![Box::from(&**self.index())], vec![0; self.rows()]),
                _ => continue,
            };
            let column = Column { dictionary, codes, offsets: None };
            columns.columns.insert(Arc::clone(path), Arc::new(column));
        }
        Ok(columns)
    }
    /// `_id` of some rows, in the order asked.
    fn ids(&self, rows: &[u32]) -> Result<Vec<Arc<str>>, ReadError>;
    /// Some rows as documents, `_source` complete with `event.original`.
    fn documents(&self, rows: &[u32]) -> Result<Vec<Document>, ReadError>;
    /// The sources of [`Batch::documents`] as JSON text, where nothing but text is wanted.
    fn sources(&self, rows: &[u32]) -> Result<Vec<String>, ReadError> {
        Ok(self.documents(rows)?.iter().map(|document| document.source.to_string()).collect())
    }
}
