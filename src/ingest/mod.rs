//! Layer 6: from files and streams to ECS documents.
//!
//! What it is: decoding (gzip, zstd, caps), formats (CloudTrail files, ECS lines, hits, bulk
//! bodies), normalisers (pure functions from a vendor's record to a document), and the pipeline
//! that carries documents to the store.
//! What it is not: storage or search; a normaliser does no I/O and reads no clock.
//! Invariant: bounded memory whatever the input is, and every record that does not become a
//! document is reported with its place and the reason.

pub mod decode;
pub mod formats;
pub mod java_text;
pub mod normalize;
pub mod pipeline;
pub mod reader;
pub mod sources;
pub mod tape;
