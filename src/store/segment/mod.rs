//! Sealed segments: immutable Parquet files, one column a field path.
//!
//! What it is: the layout of the files, writing them, reading columns and documents back.
//! What it is not: aware of which segments are live; that is the manifest's.
//! Invariant: a file under its final name is complete and synced, and never changes.
//!
//! The layout, as DuckDB or Polars see it:
//! - `_id`, `_source` (JSON text without `event.original`) and `event.original`: text;
//! - `@timestamp`, `event.ingested`: timestamps in UTC, milliseconds. Where the event's own text
//!   cannot be rebuilt from them (more digits, another zone), `_text.@timestamp` holds it;
//! - every other field path: text, or a list of texts where some event has several values;
//! - a flattened object: a list of `{key, value}` in one column at its root;
//! - `_other`: a list of `{path, value}` for paths beyond the 1,000 most frequent.

pub(crate) mod decode;
pub(crate) mod events;
pub(crate) mod layout;
pub(crate) mod read;
pub(crate) mod write;
