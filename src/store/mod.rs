//! Layer 3: the embedded event store and the state database.
//!
//! What it is: durable, de-duplicated, time-partitioned storage of ECS events: rows not yet sealed
//! in SQLite, sealed segments in Parquet, and a snapshot of both as dictionary-coded columns.
//! What it is not: a query engine; it prunes by time and index, the evaluator decides.
//! Invariant: an acknowledged event survives a crash; a segment never changes once it is named in
//! the manifest.

pub mod batch;
pub mod state;
