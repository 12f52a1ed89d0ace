//! A row group of a sealed segment as a batch.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::read::SegmentFile;
use crate::ecs::columns::ColumnSet;
use crate::ecs::document::Document;
use crate::store::batch::{Batch, NO_TIME, ReadError};
use crate::store::document;
use crate::store::manifest::Segment;
use crate::store::rows::{Bounds, INGESTED, TIMESTAMP};

/// One row group of a live segment.
pub(crate) struct SegmentBatch {
    segment: Arc<Segment>,
    file: SegmentFile,
    group: usize,
    bounds: Bounds,
}

impl SegmentBatch {
    pub(crate) fn new(segment: Arc<Segment>, file: SegmentFile, group: usize, bounds: Bounds) -> Self {
        Self { segment, file, group, bounds }
    }
}

impl Batch for SegmentBatch {
    fn key(&self) -> u64 {
        self.file.group_key(self.group)
    }

    fn index(&self) -> &Arc<str> {
        &self.segment.index
    }

    fn rows(&self) -> usize {
        usize::try_from(self.bounds.rows).unwrap_or(usize::MAX)
    }

    fn timestamp_bounds(&self) -> (i64, i64) {
        self.bounds.timestamp
    }

    fn ingested_bounds(&self) -> (i64, i64) {
        self.bounds.ingested
    }

    fn timestamps(&self) -> Result<Arc<[i64]>, ReadError> {
        self.file.times(self.group, TIMESTAMP)
    }

    fn ingested(&self) -> Result<Arc<[i64]>, ReadError> {
        let times = self.file.times(self.group, INGESTED)?;
        Ok(if times.is_empty() { vec![NO_TIME; self.rows()].into() } else { times })
    }

    fn paths(&self) -> Arc<[Arc<str>]> {
        Arc::clone(&self.segment.paths)
    }

    fn columns(&self, paths: &[Arc<str>]) -> Result<ColumnSet, ReadError> {
        let wanted: Vec<Arc<str>> = paths
            .iter()
            .filter_map(|path| self.segment.paths.binary_search(path).ok())
            .filter_map(|at| self.segment.paths.get(at).cloned())
            .collect();
        let read = self.file.columns(self.group, &wanted)?;
        let columns: FxHashMap<_, _> =
            wanted.into_iter().zip(read).filter_map(|(path, column)| column.map(|c| (path, c))).collect();
        Ok(ColumnSet { rows: self.rows(), columns, paths: self.paths() })
    }

    fn ids(&self, rows: &[u32]) -> Result<Vec<Arc<str>>, ReadError> {
        let ids = self.file.ids(self.group)?;
        rows.iter()
            .map(|row| {
                ids.ids.get(*row as usize).cloned().ok_or_else(|| ReadError {
                    batch: self.file.path().display().to_string(),
                    reason: format!("has no row {row}"),
                })
            })
            .collect()
    }

    fn sources(&self, rows: &[u32]) -> Result<Vec<String>, ReadError> {
        let stored = self.file.documents(self.group, rows)?;
        stored
            .into_iter()
            .map(|stored| {
                document::text(&stored.id, &stored.source, stored.original.as_deref())
                    .map_err(|reason| ReadError { batch: self.file.path().display().to_string(), reason })
            })
            .collect()
    }

    fn documents(&self, rows: &[u32]) -> Result<Vec<Document>, ReadError> {
        let stored = self.file.documents(self.group, rows)?;
        stored
            .into_iter()
            .map(|stored| {
                document::build(&self.segment.index, &stored.id, &stored.source, stored.original.as_deref())
                    .map_err(|reason| ReadError { batch: self.file.path().display().to_string(), reason })
            })
            .collect()
    }
}
