//! Compilers from the plan to what other engines read.
//!
//! What it is: KQL to Elasticsearch's query DSL ([`elastic`]), and the necessary condition that the
//! store prunes by ([`prefilter`]).
//! What it is not: a client or a store; nothing here sends a request or reads a file.
//! Invariant: compiled DSL means what its source means; a necessary condition lets through at least
//! what its source does.

pub mod elastic;
pub mod prefilter;
