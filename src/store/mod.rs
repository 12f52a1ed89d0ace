//! Layer 3: the embedded event store and the state database.
//!
//! What it is: durable, de-duplicated, time-partitioned storage of ECS events: rows not yet sealed
//! in SQLite, sealed segments in Parquet, and a snapshot of both as dictionary-coded columns.
//! What it is not: a query engine; it prunes by time and index, the evaluator decides.
//! Invariant: an acknowledged event survives a crash; a segment never changes once it is named in
//! the manifest.

mod append;
pub mod batch;
mod bulk;
mod cache;
mod check;
mod document;
mod error;
mod export;
mod hot;
mod instant;
mod manifest;
mod mappings;
mod merge;
mod open;
mod options;
pub(crate) mod pattern;
mod probe;
mod retain;
mod rows;
mod seal;
mod segment;
mod snapshot;
pub mod state;
mod stats;
mod sweep;
mod texts;

pub use bulk::BulkWriter;
pub use cache::RESTS;
pub(crate) use cache::Rests;
pub use check::{Checked, Problem};
pub use error::StoreError;
pub use merge::Compacted;
pub use open::{Store, is_data_folder};
pub use options::{Pruning, StoreOptions};
pub use retain::Retained;
pub use snapshot::{Snapshot, TimeBounds};
pub use stats::{IndexStats, Stats};

/// What became of events handed to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// Events that are new.
    pub indexed: u64,
    /// Events whose `_id` the index had already, or that came twice.
    pub duplicates: u64,
}

impl std::ops::AddAssign for Appended {
    fn add_assign(&mut self, other: Self) {
        self.indexed += other.indexed;
        self.duplicates += other.duplicates;
    }
}
