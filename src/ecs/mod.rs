//! Layer 0: fields, types, values and documents, with Elasticsearch's value semantics.
//!
//! What it is: the ECS catalogue, mappings, the flat form of a document (a list of leaves), and
//! dictionary-coded columns of leaves.
//! What it is not: a query evaluator; nothing here knows a query language.
//! Invariant: a leaf is kept as the text it had in JSON; what it *means* is decided by the mapping
//! when it is looked at, so re-typing a field never re-reads an event.

pub mod catalog;
pub mod columns;
pub mod document;
pub mod flat;
pub mod mapping;
pub mod types;
pub mod value;
