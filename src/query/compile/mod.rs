//! Compilers from the plan to what other engines read.
//!
//! What it is: KQL to Elasticsearch's query DSL ([`elastic`]), and the necessary condition that the
//! store prunes by ([`prefilter`]).
//! What it is not: a client or a store; nothing here sends a request or reads a file.
//! Invariant: a compiled query means what its source means, or less strictly so; never more.

pub mod elastic;
pub mod prefilter;
