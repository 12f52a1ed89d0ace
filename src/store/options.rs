//! How a store behaves.

use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::{Clock, SystemClock};

/// Rows of one row group, and most rows of one segment as it is first sealed.
pub(crate) const GROUP_ROWS: usize = 64 * 1024;
/// Text (sources and originals) held in memory for one segment before it is sealed, bytes.
pub(crate) const GROUP_TEXT: usize = 96 * 1024 * 1024;
/// Hot rows of an index that make the next writer seal them.
pub(crate) const HOT_ROWS: u64 = 16 * 1024;
/// Age of the oldest hot row that makes the next writer seal them, ms.
pub(crate) const HOT_AGE: i64 = 60_000;
/// Columns of a segment with a column of their own; further paths share the column `_other`.
pub(crate) const SEGMENT_COLUMNS: usize = 1_000;
/// A merged segment is not merged again, bytes.
pub(crate) const SEGMENT_BYTES: u64 = 128 * 1024 * 1024;
/// Small segments of one index and day that make a writer merge them. Merging costs
/// about as much as ingesting again, so an import of a few days in any order must stay below it.
pub(crate) const MERGE_AT: usize = 64;

/// Whether the store leaves out what a search cannot need. Anything but `On` is for tests, which
/// show by it that pruning changes cost and never results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pruning {
    /// Batches outside the bounds asked for are left out.
    #[default]
    On,
    /// Everything is handed out.
    Off,
    /// Wrong on purpose: some batches that may hold what is asked for are left out as well.
    Broken,
}

/// Options of [`super::Store::open`].
#[derive(Clone)]
pub struct StoreOptions {
    /// Source of "now": ages of hot rows, grace times.
    pub clock: Arc<dyn Clock>,
    /// Keep `event.original`.
    pub originals: bool,
    /// Most bytes of decoded columns held in memory.
    pub cache_bytes: usize,
    /// How long files of segments that were merged or retired stay for readers of older versions.
    pub grace: Duration,
    /// For tests.
    pub pruning: Pruning,
    /// Seal and merge in the background when limits are reached. Off, only
    /// [`super::Store::seal`] and [`super::Store::compact`] do.
    pub background: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            originals: true,
            cache_bytes: 256 * 1024 * 1024,
            grace: Duration::from_mins(10),
            pruning: Pruning::On,
            background: true,
        }
    }
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreOptions")
            .field("originals", &self.originals)
            .field("cache_bytes", &self.cache_bytes)
            .field("grace", &self.grace)
            .field("pruning", &self.pruning)
            .field("background", &self.background)
            .finish_non_exhaustive()
    }
}
