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
//! - every other field path: a list of texts, null where there is none;
//! - a flattened object at `x`: a list of `{key, value}` in the column `_flattened.x`;
//! - `_other`: a list of `{path, value}` for paths beyond the 1,000 most frequent.
//!
//! A name has one type in every file, whatever the data, so that readers can take all files for one
//! table. Files of version 1 had texts that are no lists where no event had several values, and
//! flattened objects under their own name; they are read, and written anew when they are merged.

pub(crate) mod decode;
pub(crate) mod events;
pub(crate) mod layout;
pub(crate) mod read;
pub(crate) mod sums;
pub(crate) mod write;
