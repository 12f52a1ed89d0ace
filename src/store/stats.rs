//! What is stored, in numbers.

use super::batch::NO_TIME;
use super::error::StoreError;
use super::hot;
use super::open::Store;
use super::rows::Bounds;

/// One index in numbers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct IndexStats {
    /// Its name.
    pub index: String,
    /// Events, sealed and hot.
    pub events: u64,
    /// Hot rows among them.
    pub hot: u64,
    /// Sealed segments.
    pub segments: u64,
    /// Their files, bytes.
    pub bytes: u64,
    /// Smallest `@timestamp` of sealed events, RFC 3339.
    pub first: Option<String>,
    /// Largest.
    pub last: Option<String>,
    /// Fields the mapping has beyond ECS.
    pub learned_fields: usize,
    /// Most field paths of one segment.
    pub paths: usize,
    /// Version of the mapping.
    pub mapping_version: i64,
}

/// The store in numbers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// By index.
    pub indices: Vec<IndexStats>,
    /// Events, sealed and hot.
    pub events: u64,
    /// Segments' files, bytes.
    pub bytes: u64,
    /// The database with manifest and hot rows, bytes.
    pub database_bytes: u64,
    /// Files of merged or retired segments that wait for their grace time to end.
    pub waiting: u64,
}

impl Store {
    /// Counts and sizes; reads no segment.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let manifest = self.inner.manifest()?;
        let hot = self.inner.writer().run(hot::counts)?;
        let waiting: i64 = self.inner.writer().run(|c| {
            c.query_row("SELECT count(*) FROM segment WHERE removed_at IS NOT NULL", [], |row| row.get(0))
        })?;
        let text = |ms: i64| {
            let at = chrono::DateTime::from_timestamp_millis(ms).filter(|_| ms != NO_TIME)?;
            Some(crate::base::window::iso_millis(at))
        };
        let indices: Vec<IndexStats> = manifest
            .indices
            .values()
            .map(|index| {
                let hot = hot.iter().find(|(id, ..)| *id == index.id).map_or(0, |(_, count, ..)| *count);
                let bounds = index.segments.iter().map(|segment| segment.bounds).reduce(Bounds::join);
                IndexStats {
                    index: index.name.to_string(),
                    events: hot + bounds.map_or(0, |bounds| bounds.rows),
                    hot,
                    segments: index.segments.len() as u64,
                    bytes: index.segments.iter().map(|segment| segment.bytes).sum(),
                    first: bounds.and_then(|bounds| text(bounds.timestamp.0)),
                    last: bounds.and_then(|bounds| text(bounds.timestamp.1)),
                    learned_fields: index.mapping.len(),
                    paths: index.segments.iter().map(|segment| segment.paths.len()).max().unwrap_or(0),
                    mapping_version: index.mapping_version,
                }
            })
            .collect();
        let database = self.inner.writer().path.clone();
        let size = |suffix: &str| {
            let mut name = database.clone().into_os_string();
            name.push(suffix);
            std::fs::metadata(name).map_or(0, |found| found.len())
        };
        Ok(Stats {
            events: indices.iter().map(|index| index.events).sum(),
            bytes: indices.iter().map(|index| index.bytes).sum(),
            indices,
            database_bytes: size("") + size("-wal"),
            waiting: u64::try_from(waiting).unwrap_or(0),
        })
    }
}
